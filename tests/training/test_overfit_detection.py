"""Methods of every kind learn one picture's boxes by heart, on a transformer and on a convolutional network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from bench import methods as m
from bench.models import Timm, adapt
from bench.sites import CONV
from bench.tasks.detection.boxes import Boxes, Truth
from bench.tasks.detection.detectors import detector_head
from bench.tasks.detection.metrics import box_ap
from bench.training.recipe import schedule, set_mode

VIT = Timm("test_vit", weights="random", image_size=64)
CNN = Timm("test_resnet", weights="random", image_size=64)
ROWS = [
    (m.FullFineTuning(), (VIT, CNN)),
    (m.LinearProbe(), (VIT, CNN)),
    (m.BitFit(), (VIT, CNN)),
    (m.LayerNormTuning(), (VIT,)),
    (m.LoRA(rank=4), (VIT,)),
    (m.LoRA(rank=4, at=CONV), (CNN,)),
    (m.Houlsby(width=8), (VIT, CNN)),
    (m.Pfeiffer(width=8), (VIT, CNN)),
    (m.AdaptFormer(width=8), (VIT, CNN)),
    (m.FeatureLoRA(rank=4), (VIT, CNN)),
]
BOXES = np.array([[6, 8, 30, 26], [34, 30, 60, 58], [4, 40, 22, 60]], dtype=np.float64)
LABELS = np.array([0, 1, 0])
TRUTH = Truth(BOXES, LABELS, crowd=np.zeros(3, bool), area=np.full(3, 500.0), width=64, height=64)
TARGETS = Boxes((torch.from_numpy(BOXES).float(),), (torch.from_numpy(LABELS),), (TRUTH,))


def ap50(network: nn.Module, x: torch.Tensor) -> float:
    network.eval()
    (found,) = network(x).detections()
    rows = tuple(found[name].numpy() for name in ("boxes", "labels", "scores"))
    return box_ap([rows], [TRUTH], 2)["ap50"]


def overfitted(method, model, *, kind="fcos", steps=40, lr=5e-3) -> tuple[float, float]:
    """AP50 on the one picture before and after training on it."""
    backbone = model.build(seed=0, output="maps")
    torch.manual_seed(0)
    head = detector_head(kind, backbone.width, 2, width=32, depth=1)
    adapt(backbone, method)
    network, x = nn.Sequential(backbone.module, head), backbone.example(1)
    before = ap50(network, x)
    set_mode(network)
    rule = torch.optim.Adam([p for p in network.parameters() if p.requires_grad])
    for step in range(steps):
        rule.param_groups[0]["lr"] = lr * schedule(step, steps=steps, warmup=0.1)
        rule.zero_grad()
        network(x).losses(TARGETS).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        rule.step()
    return before, ap50(network, x)


@pytest.mark.parametrize(
    ("method", "model"),
    [pytest.param(method, model, id=f"{method!r}-{model.name}") for method, models in ROWS for model in models],
)
def test_learns_one_picture_by_heart(one_thread, method, model):
    before, after = overfitted(method, model)
    assert before < 0.5 and after > 0.95


@pytest.mark.parametrize(("kind", "steps"), [("retinanet", 60), ("fasterrcnn", 100)])
@pytest.mark.parametrize("model", [VIT, CNN], ids=lambda model: model.name)
@pytest.mark.long
def test_so_does_every_detector(one_thread, kind, steps, model):
    before, after = overfitted(m.FullFineTuning(), model, kind=kind, steps=steps)
    assert before < 0.5 and after > 0.95
