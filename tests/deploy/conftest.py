"""A tiny trained run of each family with its weights, once for all tests here."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from bench.execution.keeping import Keeping
from bench.methods import LoRA, Method
from bench.models import HuggingFace, Timm
from bench.records import Records
from bench.study import Study
from bench.study.recording import keep, made
from bench.tasks import CocoFolder, ImageFolder, TextCsv
from bench.training.loop import train
from bench.training.recipe import Training
from bench.training.run import Run
from tests.support.box_data import coco_folder

VIT = Timm("test_vit", weights="random", image_size=32)
VIT_64 = Timm("test_vit", weights="random", image_size=64)
BERT = HuggingFace("test-bert", weights="random", max_length=32)
TONES = {"dark": 40, "light": 200}


def kept_run(results: Path, task: Any, model: Any, method: Method, *, seed: int = 0, lr: float = 1e-2) -> str:
    """Trains a run, records it and keeps its weights. Returns its id."""
    training = Training(lr=lr, head_lr=lr, epochs=2, batch_size=8, precision="fp32")
    run = Run(task, model, method, training, seed, timed=False, keep=True)
    started, outcome = datetime.now(UTC), train(run)
    study, records = Study("own", "?", (task,), (model,), (method,), seeds=(seed,)), Records(results / "own" / "smoke")
    record = made(study, "smoke", records, run, outcome, phase="tune", started=started, device="cpu")  # no forecast
    keep(records, record := record | {"phase": "final"})
    assert Keeping(records.folder, "all").write(record, outcome.weights)
    return str(record["run_id"])


def picture_folder(path: Path, number: int = 15, *, shade: int = 0) -> Path:
    """Pictures of noise around a tone: dark and light ones."""
    dice = np.random.default_rng(shade)
    for name, tone in TONES.items():
        (path / name).mkdir(parents=True)
        for i in range(number):
            pixels = np.clip(dice.normal(tone + shade, 30, (40, 36, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(path / name / f"{i}.png")
    return path


def review_table(path: Path, number: int = 20) -> Path:
    """Texts of two classes."""
    words = {"good": ("fine", "great", "lovely"), "bad": ("dull", "awful", "boring")}
    rows = [
        f"{w} {other} number {i},{name}" for name, those in words.items() for i in range(number)
        for w, other in [(those[i % 3], those[(i + 1) % 3])]
    ]  # fmt: skip
    path.write_text("\n".join(["review,stars", *rows]) + "\n")
    return path


@pytest.fixture(scope="session")
def own(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The results folder, and the id of a run of "images", "text" and "detection"."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("own")
        patch.setenv("LORA_BENCH_CACHE", str(folder / "cache"))
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        boxes = coco_folder(folder / "boxes", parts=("train", "val", "test"))
        tasks = {
            "images": (ImageFolder(str(picture_folder(folder / "tones"))), VIT, LoRA(rank=2)),
            "text": (TextCsv(str(review_table(folder / "reviews.csv")), "review", "stars"), BERT, LoRA(2)),
            "detection": (CocoFolder(str(boxes), head_width=32, head_depth=1), VIT_64, LoRA(2)),
        }  # fmt: skip
        found = {family: kept_run(folder / "results", *parts) for family, parts in tasks.items()}
        torch.set_num_threads(before)
        yield folder, found


@pytest.fixture(autouse=True)
def quiet(own: Any, one_thread: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORA_BENCH_CACHE", str(own[0] / "cache"))
