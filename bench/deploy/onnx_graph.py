"""A trained network as an ONNX graph with a free batch (and length of texts), held against onnxruntime."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.deploy.loading import Trained
from bench.deploy.merged import merged
from bench.errors import BadInput, shown
from bench.training.run import Network

NAMES = ("input_ids", "attention_mask", "token_type_ids")


class OfTokens(nn.Module):
    """A text network whose inputs are tensors, one after the other.

    Args:
        network: of texts.
        names: of its inputs.
    """

    def __init__(self, network: nn.Module, names: tuple[str, ...]) -> None:
        super().__init__()
        self.network, self.names = network, names

    def forward(self, *tensors: Tensor) -> Tensor:
        """Token ids, mask and, where they are used, token types, each (N, L)."""
        logits: Tensor = self.network(dict(zip(self.names, tensors, strict=True)))
        return logits


def needs() -> None:
    """Refuses where the packages are not installed."""
    try:
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise BadInput(f"--to onnx needs {error.name}: pip install 'lora-bench[onnx]'") from None
    onnxruntime.set_default_logger_severity(3)


def write_onnx(trained: Trained, inputs: Any, path: Path) -> Callable[[Any], Tensor]:
    """Writes the graph: the merged network's, or, where its method does not merge, as it is.

    Args:
        trained: of classes or a number.
        inputs: a batch of two samples at least, as an example.
        path: of the file.

    Returns:
        Inputs → logits, by onnxruntime.

    Raises:
        BadInput: packages that are not installed, or a network that cannot be exported.
    """
    needs()
    network = plainest(trained)
    names, given = _given(inputs)
    module: nn.Module = OfTokens(network, names) if names else network
    shape = {0: torch.export.Dim.DYNAMIC, **({1: torch.export.Dim.DYNAMIC} if names else {})}
    shapes: Any = (tuple(shape for _ in given),) if names else (shape,)
    path.parent.mkdir(parents=True, exist_ok=True)
    _graph(trained, module, given, shapes, names, path)
    return runner(path)


def _graph(trained: Trained, module: nn.Module, given: Any, shapes: Any, names: tuple[str, ...], path: Path) -> None:
    """Exports, in silence."""
    with quiet():
        try:
            torch.onnx.export(
                module, given, str(path), dynamo=True, dynamic_shapes=shapes, external_data=False,
                input_names=list(names) or ["pictures"], output_names=["logits"],
            )  # fmt: skip
        except Exception as error:  # whatever a network has that no graph can say
            cause = error.__cause__ or error
            first = next(iter(str(cause).strip().splitlines()), "") or type(cause).__name__
            raise BadInput(
                f"torch.onnx cannot follow {trained.run.model!r} for a free batch and length ({shown(first, 200)}): "
                "export it merged"
            ) from None


def plainest(trained: Trained) -> Network:
    """The merged network, or where that is not to be had the network as it is."""
    try:
        return merged(trained)
    except BadInput:
        return trained.network.eval()


def _given(inputs: Any) -> tuple[tuple[str, ...], tuple[Tensor, ...]]:
    if isinstance(inputs, Tensor):
        return (), (inputs.cpu(),)
    names = tuple(name for name in NAMES if name in inputs)
    return names, tuple(inputs[name].cpu() for name in names)


@contextlib.contextmanager
def quiet() -> Any:
    """Without what an exporter warns of, prints and logs."""
    before = logging.root.manager.disable
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(before)


def runner(path: Path) -> Callable[[Any], Tensor]:
    """Inputs as the network has them → logits, by onnxruntime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    asked = [each.name for each in session.get_inputs()]

    def run(inputs: Tensor | Mapping[str, Tensor]) -> Tensor:
        tensors = {asked[0]: inputs} if isinstance(inputs, Tensor) else {name: inputs[name] for name in asked}
        (logits,) = session.run(None, {name: tensor.cpu().numpy() for name, tensor in tensors.items()})
        return torch.from_numpy(logits)

    return run
