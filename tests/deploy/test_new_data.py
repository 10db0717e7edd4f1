"""Kept runs on new labelled data: judged with intervals, calibrated on validation, and trained on."""

from __future__ import annotations

import shutil

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from bench.cli import app
from bench.deploy import load_model
from bench.deploy.evaluation import evaluate
from bench.deploy.retuning import Joined, retune
from bench.deploy.same_classes import task_of
from bench.errors import BadInput
from bench.records import Records
from tests.deploy.conftest import picture_folder, review_table
from tests.support.box_data import coco_folder


def loaded(own, family):
    folder, runs = own
    return load_model(runs[family], results=folder / "results", device="cpu")


@pytest.fixture(scope="module")
def new(tmp_path_factory):
    """New data of each family: pictures that are darker, other reviews, the same boxes elsewhere."""
    folder = tmp_path_factory.mktemp("new")
    found = {"images": picture_folder(folder / "later", 9, shade=15), "text": review_table(folder / "later.csv", 9)}
    return {**found, "detection": coco_folder(folder / "spots", {"d": [(20, 4, 50, 24)], "e": [(9, 9, 40, 50)]})}


def test_every_new_sample_counts_once_with_an_interval_and_calibration(own, new) -> None:
    trained = loaded(own, "images")
    task, said = task_of(trained, str(new["images"]))
    found = evaluate(trained, task)
    frame = trained.predict(str(new["images"]))
    right = (frame["class"] == [name.split("/")[-2] for name in frame["input"]]).mean()
    value, ends = found.scores["top1"]
    assert found.samples == 18 and value == pytest.approx(right) and ends is not None and ends[0] <= value <= ends[1]
    before, after = found.calibration["before"], found.calibration["after"]
    assert before.keys() == after.keys() and found.calibration["temperature"] > 0 and said
    assert found.scores["loss"][1] is not None and not found.notes


def test_of_the_data_that_it_was_trained_on_the_test_part_counts(own) -> None:
    trained = loaded(own, "text")
    task, _ = task_of(trained, str(own[0] / "reviews.csv"))
    found = evaluate(trained, task)
    record = Records(trained.path.parent.parent).read(trained.path.stem)
    assert found.scores["top1"][0] == pytest.approx(record["metrics"]["test"]["top1"])
    assert "only their test part" in found.notes[0]


def test_boxes_are_judged_with_intervals(own, new) -> None:
    trained = loaded(own, "detection")
    found = evaluate(trained, task_of(trained, str(new["detection"]))[0])
    assert found.samples == 6
    assert "box_ap" in found.scores and not found.calibration


def test_classes_go_by_their_names(own, new, tmp_path) -> None:
    trained = loaded(own, "images")
    shutil.copytree(new["images"], tmp_path / "turned")
    (tmp_path / "turned" / "light").rename(tmp_path / "turned" / "bright")
    with pytest.raises(BadInput, match="class 'bright' of turned is none that the run was trained on"):
        task_of(trained, str(tmp_path / "turned"))
    with pytest.raises(BadInput, match=r"is data of text, run .* was trained on images"):
        task_of(trained, str(own[0] / "reviews.csv"))
    table = tmp_path / "other.csv"
    table.write_text(review_table(tmp_path / "r.csv", 9).read_text().replace("review,stars", "body,kind"))
    task, _ = task_of(loaded(own, "text"), str(table), text="body", label="kind")
    assert task.class_names == ("bad", "good")


def test_a_run_is_trained_on_and_kept(own, new, tmp_path) -> None:
    trained = loaded(own, "images")
    task, _ = task_of(trained, str(new["images"]))
    start = {name: tensor.clone() for name, tensor in load_file(trained.path).items()}
    for replay in (True, False):
        found = retune(trained, task, results=tmp_path, replay=replay, epochs=1)
        again = load_model(found.path.stem, results=tmp_path, device="cpu")
        assert again.about["retuned_from"] == trained.path.stem and again.about["replayed"] is replay
        assert again.about["metrics"]["old_test_after"] == found.old[1] and again.classes == trained.classes
        record = Records(trained.path.parent.parent).read(trained.path.stem)
        assert found.old[0]["top1"] == pytest.approx(record["metrics"]["test"]["top1"])
    moved = load_file(found.path)
    assert moved.keys() == start.keys() and any(not torch.equal(moved[name], start[name]) for name in start)


def test_joined_splits_give_each_sample_once(own, new) -> None:
    trained = loaded(own, "text")
    inputs = trained.backbone.inputs
    old, more = (t.data(inputs, seed=0).train for t in (trained.run.task, task_of(trained, str(new["text"]))[0]))
    both = Joined([more, old])
    batches = both.batches(4, torch.Generator().manual_seed(0))
    assert sorted(torch.cat(batches).tolist()) == list(range(len(old) + len(more)))
    last = torch.tensor([len(more)])
    assert torch.equal(both.targets(last), old.targets(torch.tensor([0])))
    assert torch.equal(both.inputs(last)["input_ids"], old.inputs(torch.tensor([0]))["input_ids"])


def test_the_commands_say_what_they_found(own, new) -> None:
    where = ["--results", str(own[0] / "results"), "--device", "cpu"]
    done = CliRunner().invoke(app, ["evaluate", own[1]["text"], str(new["text"]), *where])
    assert done.exit_code == 0 and "fitted on validation" in done.stdout and "top1" in done.stdout, done.output
    asked = ["retune", own[1]["text"], "--data", str(new["text"]), "--epochs", "1", *where]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0 and "old test part: top1" in done.stdout, done.output
