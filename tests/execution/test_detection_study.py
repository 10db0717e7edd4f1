"""A study on boxes through the runner: the same loop, records, plan and page as for every family."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench.errors import BadInput
from bench.execution.runner import Runner, Watcher
from bench.methods import BitFit, FullFineTuning, LinearProbe, LoRA
from bench.models import HuggingFace, Torchvision
from bench.records import Records
from bench.report import redraw
from bench.sites import CONV
from bench.study import Cell, Study
from bench.study.plan import plan
from bench.study.tune import Tune
from bench.tasks import CocoFolder, Detection, Images
from bench.training.loop import train
from bench.training.method_checks import CNN, VIT
from bench.training.recipe import Training
from bench.training.run import Run
from tests.support.box_data import coco, coco_folder, write_json
from tests.support.tiny_study import learned

pytestmark = pytest.mark.usefixtures("one_thread", "own_cache")
STUDY = Study(
    name="boxes",
    question="Does it run?",
    tasks=(Detection("composited-digits", train=6, val=4, test=5, head_width=32, head_depth=1),),
    models=(replace(VIT, image_size=48),),
    methods=(LinearProbe(), LoRA(rank=2)),
    training=Training(epochs=2, batch_size=4),
    seeds=(0, 1),
    tune=Tune(trials=1),
)


def execute(records, study=STUDY):
    """Runs the study. Returns its final records and how many runs were really done."""
    fresh = []
    watcher = Watcher(finished=lambda run, record, new: fresh.append(run) if new else None)
    return Runner(study, "smoke", records, watcher=watcher)(), len(fresh)


@pytest.mark.long
def test_a_study_on_boxes(tmp_path):
    """Records with AP and examples, pictures once for all runs, nothing repeated, and a page that shows them."""
    records = Records(tmp_path / "boxes" / "smoke")
    records.prepare()
    rows = plan(STUDY, records)
    assert [(row.trials, row.finals) for row in rows] == [(1, 2 + 2)] * 2 and all(row.seconds > 0 for row in rows)
    finals, done = execute(records)
    assert done == 6, "the only trial is the default one, so the final runs are the default runs"
    assert {record["status"] for record in finals} == {"ok"}
    for record in finals:
        assert {"box_ap", "ap50", "ap75", "loss"} <= record["metrics"]["test"].keys()
        assert record["parameters"]["backbone"] == (0 if record["method"]["name"] == "LinearProbe" else 3072)
        assert len(record["examples"]) == 3
    names = {example["picture"] for record in finals for example in record["examples"]}
    assert len(names) == 3, "the same test pictures whatever the method and seed"
    for name in names:
        content = (records.folder / "pictures" / name).read_bytes()
        assert name == f"{hashlib.sha256(content).hexdigest()[:16]}.jpg"
    tuning = [r for r in records.all() if r["phase"] == "tune"]
    assert tuning and all("examples" not in record and "test" not in record["metrics"] for record in tuning)
    assert execute(records)[1] == 0
    written = {path.name for path in redraw(records.folder)}
    assert {"examples.png", "README.md", "table.csv"} <= written
    page = (records.folder / "README.md").read_text()
    assert "box AP" in page and "figures/examples.png" in page
    assert "accuracy" not in page.replace("accuracy_vs", "")


@pytest.mark.parametrize("model", [VIT, CNN])
def test_same_seed_same_run_and_the_same_start_for_every_method(model):
    """Twice alike to the last bit; and before anything trains, methods differ in nothing but their own parameters."""

    def curve(method, **changes):
        run = Run(STUDY.tasks[0], model, method, replace(STUDY.training, epochs=1, **changes), seed=3)
        return learned(train(run).curve)

    assert curve(FullFineTuning()) == curve(FullFineTuning())
    tiny = {"lr": 1e-12, "head_lr": 1e-12, "batch_size": 6, "precision": "fp32"}
    losses = {curve(method, **tiny)[0]["train_loss"] for method in (LinearProbe(), BitFit())}
    assert max(losses) - min(losses) < 1e-6


def test_ones_own_boxes_and_a_pretrained_kind_of_detector(tmp_path):
    """A folder in COCO's format, through torchvision's FCOS with its own head (random weights: no network here)."""
    task = CocoFolder(str(coco_folder(tmp_path / "set")))
    model = Torchvision("fcos_resnet50_fpn", weights="random", image_size=64)
    outcome = train(Run(task, model, LoRA(rank=1, at=CONV), Training(epochs=1, batch_size=2), seed=0))
    assert outcome.status == "ok" and 0 <= outcome.metrics["test"]["box_ap"] <= 1
    assert outcome.parameters["head"] > 8_000_000 and outcome.parameters["backbone"] < 100_000
    json.dumps([example.true for example in outcome.examples])


@pytest.mark.parametrize(
    ("task", "model"),
    [
        (STUDY.tasks[0], HuggingFace("test-bert", weights="random")),
        (Images("digits"), Torchvision("fcos_resnet50_fpn", weights="random")),
    ],
)
def test_a_family_has_its_models(task, model):
    with pytest.raises(BadInput, match="one family"):
        Cell(task, model, LinearProbe())


def test_a_loss_that_diverges_is_a_status():
    outcome = train(Run(STUDY.tasks[0], VIT, FullFineTuning(), replace(STUDY.training, lr=1e3, head_lr=1e3), seed=0))
    assert outcome.status == "diverged" and "loss" in outcome.reason and not outcome.metrics


def test_a_sliver_left_of_a_box_does_not_end_a_run(tmp_path):
    """What would have no area in float32 once resized is no box, but counted."""
    boxes = {"a": [(10, 4, 40, 24), (79.999999, 10, 120, 30)], "b": [(60, 10, 76, 50)], "c": [(30, 16, 60, 40)]}
    folder = coco_folder(tmp_path / "set")
    for part in ("train", "val", "test"):
        write_json(folder / "annotations" / f"instances_{part}2017.json", coco(boxes))
    task = CocoFolder(str(folder), head_width=32, head_depth=1)
    assert task.pool().removed["boxes_outside_dropped"] == 3
    assert train(Run(task, VIT, LinearProbe(), Training(epochs=1), seed=0)).status == "ok"


def test_a_model_with_its_own_detector_takes_no_other():
    cell = Cell(replace(STUDY.tasks[0]), Torchvision("fcos_resnet50_fpn", weights="random"), LinearProbe())
    with pytest.raises(BadInput, match="leave head_width and head_depth out"):
        plan(replace(STUDY, tasks=(cell.task,), models=(cell.model,)), Records(Path("nowhere")), timed=False)
