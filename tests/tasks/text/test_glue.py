"""GLUE from local folders of every layout, its metrics on known outputs, and what is wrong with an input."""

from __future__ import annotations

import builtins
import csv
import json
import math
import time
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from bench.errors import BadInput
from bench.methods import LoRA
from bench.models import HuggingFace
from bench.spec import parse
from bench.tasks import Glue
from bench.tasks.metrics import regression_metrics
from bench.tasks.text import glue_sets
from bench.tasks.text.glue_sets import GLUE
from bench.training.loop import train
from bench.training.recipe import Training
from bench.training.run import Run

datasets = pytest.importorskip("datasets")
BERT = HuggingFace("test-bert", weights="random", max_length=32)
WORDS = ("the film", "a plot", "this cast", "one scene", "every joke", "no line")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LORA_BENCH_CACHE", str(tmp_path / "cache"))


def sentences(n, start=0):
    """Rows of a set of two classes, told apart by a word."""
    return [
        {"sentence": f"{WORDS[i % 6]} {i} is {('bad', 'good')[i % 2]}", "label": i % 2} for i in range(start, start + n)
    ]


def columns(rows):
    return {name: [row[name] for row in rows] for name in rows[0]}


def as_csv(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def as_tsv(path, rows, header=True):
    """As GLUE writes them: no quoting."""
    lines = ["\t".join(rows[0])] if header else []
    path.write_text("\n".join(lines + ["\t".join(map(str, row.values())) for row in rows]) + "\n", encoding="utf-8")


def of_csv(folder, train=None, test=None):
    folder.mkdir(parents=True, exist_ok=True)
    as_csv(folder / "train.csv", train or sentences(40))
    as_csv(folder / "validation.csv", test or sentences(12, 100))
    return str(folder)


def read(task):
    """Texts and labels of the whole pool."""
    pool = task.pool()
    return [(pool.read(i), pool.labels[i].item()) for i in range(len(pool.labels))]


def test_every_layout_gives_the_same_data(tmp_path):
    train, test = sentences(40), sentences(12, 100)
    parts = {"train": datasets.Dataset.from_list(train), "validation": datasets.Dataset.from_list(test)}
    datasets.DatasetDict(parts).save_to_disk(str(tmp_path / "saved"))
    parquet, jsonl, tsv = (tmp_path / kind / "SST-2" for kind in ("parquet", "jsonl", "tsv"))
    for folder in (parquet, jsonl, tsv):
        folder.mkdir(parents=True)
    for part, rows in (("train", train), ("validation", test)):
        parts[part].to_parquet(str(parquet / f"{part}-00000-of-00001.parquet"))
        (jsonl / f"{part}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    as_tsv(tsv / "train.tsv", train)
    as_tsv(tsv / "dev.tsv", test)
    roots = [of_csv(tmp_path / "csv"), *(str(tmp_path / kind) for kind in ("saved", "parquet", "jsonl", "tsv"))]
    tasks = [Glue("sst2", root=root) for root in roots]
    assert len({task.fingerprint() for task in tasks}) == 1
    assert tasks[0].sizes() == (36, 4, 12)
    assert read(tasks[0])[1] == ("a plot 1 is good", 1)


def test_glues_own_tsv(tmp_path):
    """Its headers, names of classes and stray quotes; CoLA has no header, and "null" is a word."""
    mrpc = [
        {"Quality": i % 2, "#1 ID": i, "#2 ID": i, "#1 String": f'He said "{i}', "#2 String": f"she {i}"}
        for i in range(30)
    ]
    mnli = [
        {"index": i, "sentence1": f"premise {i}", "sentence2": "null", "gold_label": label}
        for i, label in enumerate(["entailment", "neutral", "contradiction", "-"] * 10)
    ]
    cola = [{"source": "gj04", "label": i % 2, "star": "", "sentence": f"They drank {i}."} for i in range(30)]
    stsb = [{"index": i, "sentence1": f"A {i}", "sentence2": f"B {i}", "score": i / 8} for i in range(40)]
    for name, rows, dev in (
        ("MRPC", mrpc, "dev"), ("MNLI", mnli, "dev_matched"), ("CoLA", cola, "dev"), ("STS-B", stsb, "dev"),
    ):  # fmt: skip
        (tmp_path / name).mkdir()
        as_tsv(tmp_path / name / "train.tsv", rows[:20], header=name != "CoLA")
        as_tsv(tmp_path / name / f"{dev}.tsv", rows[20:], header=name != "CoLA")
    root = str(tmp_path)
    assert read(Glue("mrpc", root=root))[1] == (('He said "1', "she 1"), 1)
    assert read(Glue("mnli", root=root))[:3] == [((f"premise {i}", "null"), i) for i in range(3)]
    assert Glue("mnli", root=root).pool().removed["unlabelled_removed"] == 10
    assert read(Glue("cola", root=root))[1] == ("They drank 1.", 1)
    scores = Glue("stsb", root=root)
    assert read(scores)[1] == (("A 1", "B 1"), 0.125)
    assert scores.pool().labels.dtype == np.float32 and scores.classes == 1 and scores.baselines == ()
    assert scores.sizes() == (18, 2, 20)


def test_the_hubs_parts(monkeypatch):
    """Of MNLI the matched part is tested on."""
    rows = [{"premise": f"p {i}", "hypothesis": f"h {i}", "label": i % 3} for i in range(60)]
    cut = {"train": rows[:40], "validation_matched": rows[40:50], "validation_mismatched": rows[50:], "test": rows[:3]}
    made = datasets.DatasetDict({part: datasets.Dataset.from_list(some) for part, some in cut.items()})
    monkeypatch.setattr(glue_sets, "from_hub", lambda name, config: {("nyu-mll/glue", "mnli"): made}[name, config])
    monkeypatch.setattr(glue_sets, "_load", glue_sets._load.__wrapped__)
    pool = Glue("mnli").pool()
    assert [pool.read(i) for i in pool.official_test] == [(f"p {i}", f"h {i}") for i in range(40, 50)]
    assert Glue("mnli").sizes() == (36, 4, 10)


def test_classes_in_an_order_of_ones_own(tmp_path):
    names = datasets.ClassLabel(names=["positive", "negative"])
    features = datasets.Features({"sentence": datasets.Value("string"), "label": names})
    parts = {
        part: datasets.Dataset.from_dict(columns(sentences(n, start)), features=features)
        for part, n, start in (("train", 40, 0), ("validation", 12, 100))
    }
    datasets.DatasetDict(parts).save_to_disk(str(tmp_path / "sst2"))
    assert read(Glue("sst2", root=str(tmp_path)))[0] == ("the film 0 is bad", 1)


def test_what_is_tested_is_not_trained_on(tmp_path):
    test = sentences(12, 100)
    train = [*sentences(40), {**test[0], "sentence": test[0]["sentence"].upper()}, sentences(40)[3]]
    pool = Glue("sst2", root=of_csv(tmp_path / "sst2", train, test)).pool()
    assert pool.removed["test_duplicates_removed"] == pool.removed["duplicates_removed"] == 1
    assert len(pool.development) == 40 and len(pool.official_test) == 12


def test_a_file_that_changes_is_read_again(tmp_path):
    task = Glue("sst2", root=of_csv(tmp_path / "sst2"))
    before = task.fingerprint()
    of_csv(tmp_path / "sst2", sentences(41))
    assert task.fingerprint() != before and len(read(task)) == 53


def test_specification():
    assert repr(Glue("STS-B", root="x")) == "Glue('stsb', root='x')"
    assert Glue("sst_2") == Glue("SST-2") == parse("Glue('sst2')", known={"Glue": Glue}, kind="task")
    assert {name: Glue(name).metric for name in GLUE} == {
        "sst2": "top1", "cola": "matthews", "mrpc": "f1", "rte": "top1", "qnli": "top1", "qqp": "f1", "mnli": "top1",
        "stsb": "pearson",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"set": "sst3"}, "unknown set of GLUE 'sst3': did you mean 'sst2'?"),
        ({"set": "sst2", "train": 0}, "train=0"),
        ({"set": "sst2", "head_kind": "deep"}, "unknown head_kind 'deep'"),
    ],
)
def test_bad_options(options, said):
    with pytest.raises(BadInput) as error:
        Glue(**options)
    assert said in str(error.value)


def test_bad_folders(tmp_path):
    def said(**options):
        with pytest.raises(BadInput) as error:
            Glue(**{"set": "sst2", **options}).sizes()
        assert "\n" not in str(error.value)
        return str(error.value)

    assert "is no folder" in said(root=str(tmp_path / "none"))
    (tmp_path / "empty").mkdir()
    assert "has no train.* with a validation or dev.* beside it" in said(root=str(tmp_path / "empty"))
    assert "has no column 'question'; it has sentence, label" in said(root=of_csv(tmp_path / "q"), set="qnli")
    odd = [*sentences(9), {"sentence": "odd", "label": 7}]
    assert "has a label 7; known: negative, positive" in said(root=of_csv(tmp_path / "odd", odd))
    hidden = [{**row, "label": -1} for row in sentences(9)]
    assert "no row of its test part has a label" in said(root=of_csv(tmp_path / "hidden", test=hidden))
    assert "ask for other sizes" in said(root=of_csv(tmp_path / "few"), train=100)
    (tmp_path / "broken").mkdir()
    for part in ("train", "validation"):
        (tmp_path / "broken" / f"{part}.parquet").write_bytes(b"no parquet")
    assert "cannot be read" in said(root=str(tmp_path / "broken"))


def test_without_the_package(monkeypatch, tmp_path):
    real = builtins.__import__

    def without(name, *args, **more):
        if name == "datasets":
            raise ImportError(name)
        return real(name, *args, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(BadInput, match=r"pip install 'lora-bench\[glue\]'"):
        Glue("rte").sizes()


def test_a_hub_that_does_not_answer_is_said_at_once(monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("LORA_BENCH_OFFLINE", "1")
    start = time.perf_counter()
    with pytest.raises(BadInput, match=r"nyu-mll/glue \(qqp\) cannot be had from the hub") as error:
        Glue("qqp").sizes()
    assert time.perf_counter() - start < 10 and "\n" not in str(error.value)


def logits(guesses, classes=2):
    return 9.0 * torch.nn.functional.one_hot(torch.tensor(guesses), classes).float()


def test_classification_metrics_of_known_outputs():
    """3 true positives, 1 false positive, 1 false negative, 1 true negative; given in two batches."""
    outputs, targets = logits([1, 1, 1, 1, 0, 0]), torch.tensor([1, 1, 1, 0, 1, 0])
    batches = [outputs[:4], outputs[4:]], [targets[:4], targets[4:]]
    for name in ("mrpc", "qqp"):
        found = Glue(name).metrics(*batches)
        assert found["f1"] == pytest.approx(2 * 3 / (2 * 3 + 1 + 1)) and found["top1"] == pytest.approx(4 / 6)
    matthews = (3 * 1 - 1 * 1) / math.sqrt(4 * 4 * 2 * 2)
    assert Glue("cola").metrics(*batches)["matthews"] == pytest.approx(matthews)
    assert set(Glue("rte").metrics(*batches)) == {"top1", "macro_f1", "ece", "loss"}


def test_undefined_correlations_are_zero():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Glue("cola").metrics([logits([1, 1, 1])], [torch.tensor([1, 0, 1])])["matthews"] == 0
        assert Glue("mrpc").metrics([logits([0, 0])], [torch.tensor([0, 0])])["f1"] == 0
        for x, y in (([2.0, 2.0], [1.0, 3.0]), ([1.0, 3.0], [2.0, 2.0]), ([1.0], [1.0]), ([math.nan, 1.0], [1.0, 2.0])):
            found = regression_metrics(torch.tensor(x), torch.tensor(y))
            assert found["pearson"] == found["spearman"] == 0


def test_regression_metrics_of_known_outputs():
    outputs, targets = torch.tensor([[1.0], [2.0], [4.0], [3.0]]), torch.tensor([1.0, 2.0, 3.0, 5.0])
    task = Glue("stsb")
    found = task.metrics([outputs[:3], outputs[3:]], [targets[:3], targets[3:]])
    # x − mean: −1.5, −0.5, 1.5, 0.5; y − mean: −1.75, −0.75, 0.25, 2.25.
    assert found["pearson"] == pytest.approx(4.5 / math.sqrt(5 * 8.75))
    assert found["spearman"] == pytest.approx(1 - 6 * 2 / (4 * 15))
    assert found["loss"] == pytest.approx(5 / 4) == task.loss(outputs, targets).item()
    assert isinstance(task.head(8), nn.Linear) and task.head(8).out_features == 1


@pytest.mark.parametrize("name", ["cola", "stsb"])
def test_a_whole_run(tmp_path, one_thread, name):
    """It learns a word, or a number, from 48 sentences."""
    rows = sentences(64) if name == "cola" else [
        {"sentence1": f"number {i % 5}", "sentence2": f"pair {i}", "label": float(i % 5)} for i in range(64)
    ]  # fmt: skip
    task = Glue(name, root=of_csv(tmp_path / name, rows[:48], rows[48:]))
    run = Run(task, BERT, LoRA(rank=4), Training(lr=5e-3, epochs=3, batch_size=8, precision="fp32"), seed=0)
    outcome = train(run)
    assert outcome.status == "ok"
    assert outcome.curve[-1]["train_loss"] < outcome.curve[0]["train_loss"]
    assert task.metric in outcome.metrics["test"]
    assert outcome.provenance["data_sha256"] == task.fingerprint()
