"""Kept weights predict for new files what the trained network did on its own data."""

from __future__ import annotations

import json
import shutil
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

import bench
from bench.cli import app
from bench.deploy import load_model
from bench.errors import BadInput
from bench.records import Records
from bench.training.robustness import outputs_of


def loaded(own, family):
    folder, runs = own
    return load_model(runs[family], results=folder / "results", device="cpu")


def on_test(trained):
    """Outputs and targets of the run's own test part, by the code of training."""
    data = trained.run.task.data(trained.backbone.inputs, seed=trained.run.seed)
    made = outputs_of(trained.run.task, trained.network, data.test, device="cpu", precision="fp32", size=8)
    return data.test, *made


def said(own, *words):
    return CliRunner().invoke(app, [*map(str, words), "--results", str(own[0] / "results"), "--device", "cpu"])


@pytest.mark.parametrize("family", ["images", "text", "detection"])
def test_a_loaded_network_scores_what_the_record_says(own, family) -> None:
    trained = loaded(own, family)
    record = Records(trained.path.parent.parent).read(trained.path.stem)
    scores = trained.run.task.metrics(*on_test(trained)[1:])
    assert scores == pytest.approx(record["metrics"]["test"], rel=1e-5)
    assert trained.about["metrics"] == record["metrics"] and not trained.network.training


def test_files_of_the_test_part_get_the_probabilities_of_training(own) -> None:
    trained = loaded(own, "images")
    part, outputs, _ = on_test(trained)
    names = [trained.run.task.pool().title(i) for i in part.ids]
    files = [own[0] / "tones" / name.split("tones/")[-1] for name in names]
    frame = trained.predict(files, top=2, batch=4)
    wanted = torch.cat(outputs).double().softmax(-1)
    assert list(frame.columns) == ["input", "class", "probability", "class_2", "probability_2"]
    assert np.allclose(frame["probability"], wanted.max(-1).values.numpy(), atol=1e-5)
    assert list(frame["class"]) == [trained.classes[i] for i in wanted.argmax(-1)]


def test_texts_and_tables_and_boxes(own, tmp_path) -> None:
    trained = loaded(own, "text")
    frame = trained.predict(["great lovely number 3", str(own[0] / "reviews.csv")])
    assert len(frame) == 41 and set(frame["class"]) <= {"good", "bad"} and frame["input"][1].endswith("reviews.csv:2")
    alone = trained.predict(["awful boring"], batch=1)["probability"][0]
    among = trained.predict(["awful boring", "a very much longer text than that one"])["probability"][0]
    assert alone == pytest.approx(among, abs=1e-5), "padding changes nothing"
    found = loaded(own, "detection").predict(own[0] / "boxes" / "val2017", score=0.0)
    assert list(found.columns) == ["input", "class", "score", "x1", "y1", "x2", "y2"]
    assert found[["x1", "y1"]].min().min() >= 0 and found["x2"].max() <= 80 and found["y2"].max() <= 60
    done = said(own, "predict", own[1]["detection"], own[0] / "boxes" / "val2017", "--score", 0, "--json",
                "--draw", tmp_path / "drawn", "--coco", tmp_path / "boxes.json")  # fmt: skip
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    boxes = json.loads((tmp_path / "boxes.json").read_text())
    assert done.exit_code == 0 and len(rows) == 3 == len(list((tmp_path / "drawn").glob("*.jpg")))
    assert len(boxes["annotations"]) == sum(len(row["boxes"]) for row in rows) and len(boxes["categories"]) == 2


def test_what_cannot_be_read_is_named_and_skipped(own, tmp_path) -> None:
    good = next((own[0] / "tones" / "dark").iterdir())
    shutil.copy(good, tmp_path / "good.png")
    (tmp_path / "cut.png").write_bytes(good.read_bytes()[:200])
    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    (tmp_path / "huge.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + b"\0" * 64)
    (tmp_path / "notes.md").write_text("no picture")
    with pytest.warns(UserWarning, match="skipped 2 of 3"):
        frame = bench.load_model(own[1]["images"], results=own[0] / "results", device="cpu").predict(str(tmp_path))
    assert [name.rpartition("/")[2] for name, _ in frame.attrs["skipped"]] == ["cut.png", "huge.png"]
    done = said(own, "predict", own[1]["images"], tmp_path, Image.__file__.replace(".py", ".nope"))
    assert done.exit_code != 0 and "neither a file nor a folder" in str(done.exception)
    done = said(own, "predict", own[1]["images"], tmp_path, "--out", tmp_path / "t.csv")
    assert done.exit_code == 0 and (tmp_path / "t.csv").read_text().startswith("input,class,probability\n")
    assert "skipped 2 of 3" in done.stderr and "huge.png: " in done.stderr


@pytest.mark.parametrize(
    ("family", "given", "why"),
    [
        ("images", "reviews.csv", "no picture, by its name: run .* takes pictures"),
        ("text", "tones/dark/0.png", "is a picture, by its name: run .* takes texts"),
        ("text", "gone.csv", "neither a file nor a folder"),
        ("images", "results/own/smoke/runs", "holds no pictures"),
        ("detection", "reviews.csv", "takes pictures"),
    ],
)
def test_a_wrong_kind_of_file_is_refused_in_a_line(own, family, given, why) -> None:
    with pytest.raises(BadInput, match=why):
        loaded(own, family).predict([str(own[0] / given)])


def test_weights_that_are_not_these_are_refused(own, tmp_path, monkeypatch) -> None:
    trained = loaded(own, "images")
    with pytest.raises(BadInput, match="were not kept: `bench keep"):
        moved = tmp_path / "results" / "own" / "smoke" / "runs"
        moved.mkdir(parents=True)
        shutil.copy(trained.path.parent.parent / "runs" / f"{trained.path.stem}.json", moved)
        load_model(trained.path.stem, results=tmp_path / "results")
    alone = shutil.copy(trained.path, tmp_path / trained.path.name)
    assert load_model(alone, device="cpu").classes == ("dark", "light"), "the file needs nothing beside it"
    changed = dict(load_file(alone))
    changed["head.bias"] += 1
    save_file(changed, tmp_path / "c.safetensors", metadata={"format": "pt"})
    with pytest.raises(BadInput, match="not what `bench run` writes"):
        load_model(tmp_path / "c.safetensors")
    build = type(trained.run.model).build
    other = lambda model, *, seed=0, **how: build(model, seed=seed + 1, **how)  # noqa: E731
    monkeypatch.setattr(type(trained.run.model), "build", other)
    with pytest.raises(BadInput, match="trained on another backbone"):
        load_model(alone, device="cpu")
