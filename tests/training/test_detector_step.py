"""A detector's step for real, followed as a GPU would allocate it."""

from __future__ import annotations

import pytest

from bench.costs.cuda_share import WORKSPACE
from bench.errors import BadInput
from bench.training.detector_step import Detector, estimate
from bench.training.gpu_setup import Setup


def test_what_is_fixed_is_counted_exactly_and_evaluated_norms_keep_their_inputs() -> None:
    setup = Setup(optimizer="sgd", update="one by one", gradients="zeroed", gpus=2)
    frozen, evaluated = (
        estimate(Detector("retinanet_resnet18_fpn", 1, 64, 96, boxes=3, norms=norms), setup)
        for norms in ("frozen", "evaluated")
    )
    forward = frozen.phases["forward"].breakdown
    assert abs(forward["gradients"] - 2 * frozen.gradients) < 2 * 512 * 100  # kept, and in buckets; blocks of 512 bytes
    assert abs(forward["optimizer"] - frozen.gradients) < 512 * 100
    assert forward["other"] > 2 * WORKSPACE
    inputs = 4 * sum(4 * 64 * 96 // stride**2 * width for stride, width in ((8, 128), (16, 256), (32, 512)))
    more = evaluated.phases["forward"].breakdown["activations"] - forward["activations"]
    assert inputs < more < 1.5 * inputs  # two blocks of two norms a stage, and one where the map gets smaller


def test_what_there_is_not_is_told() -> None:
    with pytest.raises(BadInput, match="did you mean"):
        Detector("retinanot_resnet50_fpn", 1, 64, 64)
    with pytest.raises(BadInput, match="norms"):
        Detector("retinanet_resnet50_fpn", 1, 64, 64, norms="moving")
