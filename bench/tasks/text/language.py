"""Language modelling: what memory and parameters of a model with its head over the vocabulary are counted for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn

import torch
from torch import Tensor, nn

from bench.errors import BadInput
from bench.models.language_loss import checked
from bench.models.language_models import OUTPUT
from bench.spec import Spec
from bench.tasks.contract import Baseline, Data


@dataclass(frozen=True, repr=False)
class LanguageModelling(Spec):
    """Next tokens (of encoders hidden ones, of encoder–decoders a second text): for `bench memory` and `bench count`.

    It has no data: it is not trained here. Labels are as many as the tokens.

    Args:
        loss_kind: "float32", as transformers computes it: all logits at once. "chunked 128": 128 tokens after the
            other; "recomputed 1024": and their logits again in the backward pass; "fused": with their gradient at once
            (Liger, arXiv:2410.10989). `bench.models.language_loss` has them all.
    """

    loss_kind: str = "float32"

    family: ClassVar[str] = "text"
    metric: ClassVar[str] = "loss"
    smooths: ClassVar[bool] = False
    name: ClassVar[str] = "language modelling"
    baselines: ClassVar[tuple[Baseline, ...]] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "loss_kind", checked(self.loss_kind))

    @property
    def output(self) -> str:
        """What the network gives: the loss itself."""
        return f"{OUTPUT}{self.loss_kind}"

    def _refused(self) -> NoReturn:
        raise BadInput("LanguageModelling has no data: it is for bench memory and bench count")

    def fingerprint(self) -> str:
        """Raises BadInput: there are no data."""
        self._refused()

    def sizes(self) -> tuple[int, int, int]:
        """Raises BadInput: there are no data."""
        self._refused()

    def data(self, inputs: Any, *, seed: int) -> Data:
        """Raises BadInput: there are none."""
        self._refused()

    def head(self, width: int) -> nn.Module:
        """None of its own: the head over the vocabulary is the network's."""
        return nn.Identity()

    def stand_ins(self, inputs: Any) -> Tensor:
        """None: labels stand in the batch, as transformers wants them."""
        return torch.zeros((), device=inputs["input_ids"].device)

    def loss(self, outputs: Tensor, targets: Tensor, *, smoothing: float = 0.0) -> Tensor:
        """What the network gave."""
        return outputs

    def keep(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss."""
        return outputs.float().cpu()

    def metrics(self, outputs: Sequence[Tensor], targets: Sequence[Tensor]) -> dict[str, float]:
        """The mean loss of the batches."""
        return {"loss": float(torch.stack(list(outputs)).mean())}
