"""A trained detector as an ONNX graph, one picture at a time: what it finds depends on the picture, so that no batch of
any size can be traced. Held against onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.deploy.loading import Trained
from bench.deploy.onnx_graph import needs, plainest, quiet
from bench.errors import BadInput, shown
from bench.training.run import Network

OUTPUTS = ("boxes", "labels", "scores")
OPSET = 17
LINES = (
    "import onnxruntime",
    "session = onnxruntime.InferenceSession('model.onnx')",
    "# inputs (1, 3, size, size), one picture; boxes in its pixels (x1, y1, x2, y2), labels as places in the classes",
    "boxes, labels, scores = session.run(None, {'picture': inputs})",
)


class Found(nn.Module):
    """A detector that takes one picture and gives tensors.

    Args:
        network: merged where its method can be.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, picture: Tensor) -> tuple[Tensor, ...]:
        """(1, 3, S, S) → boxes (m, 4), labels (m), scores (m), the best first."""
        (found,) = self.network(picture).detections()
        return tuple(found[name] for name in OUTPUTS)


def write_boxes(trained: Trained, pictures: Tensor, path: Path, most: float) -> tuple[float, int]:
    """Writes the graph and runs it on pictures.

    Args:
        trained: a detector.
        pictures: (N, 3, S, S), as the network takes them.
        path: of the file.
        most: the largest difference that is allowed, of scores and, as a share of S, of boxes.

    Returns:
        The largest difference, and how many pictures were compared.

    Raises:
        BadInput: packages that are not installed, a network that cannot be traced, or a graph that finds other boxes.
    """
    needs()
    module, pictures = Found(plainest(trained)).eval(), pictures.cpu()
    with quiet():
        try:
            torch.onnx.export(
                module, (pictures[:1],), str(path), dynamo=False, opset_version=OPSET, input_names=["picture"],
                output_names=list(OUTPUTS), dynamic_axes={name: {0: "found"} for name in OUTPUTS},
            )  # fmt: skip
        except Exception as error:  # whatever a network has that no graph can say
            first = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
            raise BadInput(f"torch.onnx cannot trace {trained.run.model!r} ({shown(first, 200)})") from None
    differences = [_difference(module, each[None], _runs(path)) for each in pictures]
    if not max(differences) <= most:
        raise BadInput(f"the graph finds other boxes than the run (by {max(differences):.2g}): not written")
    return max(differences), len(pictures)


def _runs(path: Path) -> Any:
    import onnxruntime

    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


@torch.no_grad()
def _difference(module: Found, picture: Tensor, session: Any) -> float:
    """Infinite where other numbers of boxes or other classes are found."""
    boxes, labels, scores = (tensor.numpy() for tensor in module(picture))
    found = session.run(None, {"picture": picture.numpy()})
    if found[1].shape != labels.shape or (found[1] != labels).any():
        return float("inf")
    if not len(labels):
        return 0.0
    return max(float(abs(found[0] - boxes).max()) / picture.shape[-1], float(abs(found[2] - scores).max()))
