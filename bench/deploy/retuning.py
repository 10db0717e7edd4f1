"""`bench retune`: a kept adapter goes on learning, from new data, with the old ones replayed or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Generator, Tensor

from bench.deploy.evaluation import predictions
from bench.deploy.loading import Trained
from bench.errors import BadInput
from bench.records import PROTOCOL, run_id, write_atomically
from bench.records.environment import versions
from bench.records.weights import file_of, sealed
from bench.tasks import Data, Split, Task
from bench.training.keeping import packed, restore
from bench.training.loop import Diverged, Loop, Outcome
from bench.training.run import Run, ready


class Joined:
    """Several splits as one; a batch is of one of them, so that they may be of different kinds of samples.

    Args:
        parts: at least one.
    """

    def __init__(self, parts: Sequence[Split]) -> None:
        self.parts, self.views = parts, min(part.views for part in parts)
        self.starts = np.cumsum([0, *map(len, parts)]).tolist()
        self.ids = np.arange(len(self))

    def __len__(self) -> int:
        return int(self.starts[-1])

    def _of(self, index: Tensor) -> tuple[Split, Tensor]:
        number = int(np.searchsorted(self.starts, int(index[0]), side="right")) - 1
        return self.parts[number], index - self.starts[number]

    def inputs(self, index: Tensor, view: Tensor | None = None) -> Any:
        """Of the split that the batch is of."""
        part, own = self._of(index)
        return part.inputs(own, view)

    def targets(self, index: Tensor, view: Tensor | None = None) -> Any:
        """Likewise."""
        part, own = self._of(index)
        return part.targets(own, view)

    def batches(self, size: int, order: Generator) -> list[Tensor]:
        """The batches of all, in random order."""
        pairs = zip(self.parts, self.starts[:-1], strict=True)
        every = [batch + start for part, start in pairs for batch in part.batches(size, order)]
        return [every[i] for i in torch.randperm(len(every), generator=order)]


@dataclass(frozen=True)
class Retuned:
    """What became of it.

    Args:
        path: of the new weights.
        old: metrics on the old test part, before and after.
        new: on the new data's test part, before and after.
        epoch: that was best on the new validation part, whose weights were kept.
    """

    path: Path
    old: tuple[dict[str, float], dict[str, float]]
    new: tuple[dict[str, float], dict[str, float]]
    epoch: int | None


def retune(
    trained: Trained,
    task: Task,
    *,
    results: Path,
    replay: bool = True,
    epochs: int | None = None,
    lr: float | None = None,
) -> Retuned:
    """Trains on from the kept weights, and keeps the result beside other runs, as study "retuned".

    Args:
        trained: the run.
        task: new data with the run's classes (`bench.deploy.same_classes`).
        results: folder of all studies.
        replay: whether the old training part is trained on beside the new one, against forgetting.
        epochs: of the joined part; those of the run without.
        lr: peak learning rate; that of the run without.

    Raises:
        BadInput: old data that are not to be had, or a training that diverges.
    """
    inputs, was = trained.backbone.inputs, trained.run
    training = replace(was.training, epochs=epochs or was.training.epochs, lr=lr or was.training.lr)
    run = replace(was, task=task, training=training, keep=True)
    try:
        old = was.task.data(inputs, seed=was.seed)
    except (BadInput, OSError) as error:
        raise BadInput(
            f"the data that run {trained.about['run_id']} was trained on are not to be had: {error}"
        ) from None
    fresh = task.data(inputs, seed=was.seed)
    before = _score(trained, was.task, old.test), _score(trained, task, fresh.test)
    train: Any = Joined([fresh.train, old.train]) if replay else fresh.train
    later, epoch = _trained_on(trained, run, Data(train, fresh.val, fresh.test))
    after = _score(later, was.task, old.test), _score(later, task, fresh.test)
    path = _kept(later, fresh, after[1], before[0], after[0], results=results, replay=replay)
    return Retuned(path, (before[0], after[0]), (before[1], after[1]), epoch)


def _trained_on(trained: Trained, run: Run, data: Data) -> tuple[Trained, int | None]:
    """What the kept weights become, and the epoch that was best."""
    parts, outcome = ready(run, device=trained.device), Outcome()
    restore(parts.network, load_file(trained.path, device=trained.device), trained.about, where=str(trained.path))
    try:
        Loop(run, parts, data, outcome).fit(lambda epoch, scores: None)
    except Diverged as error:
        raise BadInput(f"training diverged ({error}): try a smaller --lr than {run.training.lr:g}") from None
    return replace(trained, run=run, backbone=parts.backbone, network=parts.network), outcome.best_epoch


def _old(trained: Trained) -> Data:
    run = trained.run
    try:
        found: Data = run.task.data(trained.backbone.inputs, seed=run.seed)
    except (BadInput, OSError) as error:
        raise BadInput(f"the data that run {trained.about['run_id']} was trained on are not there: {error}") from None
    return found


def _score(trained: Trained, task: Task, part: Split) -> dict[str, float]:
    return task.metrics(*predictions(trained, task, part))


def _kept(
    trained: Trained,
    data: Data,
    test: dict[str, float],
    old_before: dict[str, float],
    old_after: dict[str, float],
    *,
    results: Path,
    replay: bool,
) -> Path:
    run, was = trained.run, trained.about
    sha = data.provenance.get("data_sha256")
    spec = {"from": was["run_id"], "task": repr(run.task), "data": sha, "training": repr(run.training)}
    name = run_id({**spec, "replay": replay, "protocol": PROTOCOL})
    val = _score(trained, run.task, data.val)
    metrics = {"val": val, "test": test, "old_test_before": old_before, "old_test_after": old_after}
    about = {
        **{key: was[key] for key in ("model", "method", "seed", "scale", "family", "metric")},
        **{"run_id": name, "protocol": PROTOCOL, "study": "retuned", "task": repr(run.task), "name": run.task.name},
        **{"training": run.training.config, "metrics": metrics, "data_sha256": sha, "versions": dict(versions())},
        **{"retuned_from": was["run_id"], "replayed": replay},
    }
    path = file_of(results / "retuned" / str(was["scale"]), name)
    return write_atomically(path, sealed(packed(run.task, trained.backbone, trained.network), about))
