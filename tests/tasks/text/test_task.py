"""Text tasks: tokens, batches by length, heads, the TF-IDF baseline, a whole run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.errors import BadInput
from bench.execution.runner import Runner, Watcher
from bench.methods import FullFineTuning, LinearProbe, LoRA
from bench.models import HuggingFace
from bench.models import resolve as model
from bench.records import Records
from bench.study import Cell, Study
from bench.study.recording import usable
from bench.study.trials import of_cells
from bench.study.tune import Tune
from bench.tasks import Images, Text, TextCsv, resolve
from bench.tasks.baselines.tfidf import TfidfLogistic
from bench.tasks.pools import Pool, split
from bench.tasks.text.tokens import bucketed, tokenised
from bench.training.loop import train
from bench.training.recipe import Training
from bench.training.run import Run
from tests.support.tiny_study import learned

BERT = HuggingFace("test-bert", weights="random", max_length=32)
TASK = Text("unicode-names", train=60, val=40, test=50)
STUDY = Study(
    name="tiny",
    question="?",
    tasks=(TASK,),
    models=(BERT,),
    methods=(LinearProbe(),),
    training=Training(epochs=1),
    seeds=(0, 1),
    tune=Tune(trials=1, pruner="none"),
)


pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def inputs():
    return BERT.build().inputs


def pool_of(texts, labels=None, **more):
    labels = np.array(labels if labels is not None else [i % 2 for i in range(len(texts))], np.int64)
    every = np.arange(len(texts))
    return Pool("mine", labels, 2, lambda i: texts[i], str, f"sha of {hash(tuple(texts))}", every, **more)


def test_batches_hold_every_text_once_and_lengths_alike():
    lengths = torch.randint(1, 100, (1000,), generator=torch.Generator().manual_seed(0))
    batches = bucketed(lengths, 16, torch.Generator().manual_seed(1))
    assert sorted(torch.cat(batches).tolist()) == list(range(1000))
    assert all(len(batch) <= 16 for batch in batches)
    wasted = sum(int(lengths[b].max()) * len(b) for b in batches) / int(lengths.sum())
    assert wasted < 1.25, "random batches would pad by four fifths"
    again = bucketed(lengths, 16, torch.Generator().manual_seed(1))
    other = bucketed(lengths, 16, torch.Generator().manual_seed(2))
    assert all(torch.equal(a, b) for a, b in zip(batches, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(batches, other, strict=True))
    means = [lengths[b].float().mean().item() for b in batches]
    assert means != sorted(means), "batches come in random order"


@pytest.mark.parametrize("n", [1, 5, 16, 17])
def test_few_texts_make_batches_too(n):
    batches = bucketed(torch.ones(n, dtype=torch.long), 16, torch.Generator())
    assert sorted(torch.cat(batches).tolist()) == list(range(n))


@pytest.mark.parametrize("pairs", [False, True])
def test_tokens_are_those_of_the_tokenizer_padded_to_the_longest_of_the_batch(inputs, pairs):
    texts = ["a", "some longer text", "middle one", "ä and ß"]
    texts = [(text, "other side") for text in texts] if pairs else texts
    pool = pool_of(texts)
    data = TextCsv("unread.csv")
    from bench.tasks.text.tokens import splits

    (part, *_), _ = splits(pool, (np.arange(4),) * 3, inputs)
    found = part.inputs(torch.arange(4))
    sources = [texts[i] for i in part.rows]
    columns = ([a for a, _ in sources], [b for _, b in sources]) if pairs else (sources,)
    expected = inputs.tokenizer(*columns, padding=True, return_tensors="pt")
    assert set(found) == set(inputs.tokenizer.model_input_names)
    for name in found:
        assert torch.equal(found[name], expected[name]), name
    assert part.inputs(torch.tensor([0]))["input_ids"].shape[1] < found["input_ids"].shape[1]
    assert data.name == "unread"


def test_long_texts_are_cut_counted_and_said_once(inputs):
    pool = pool_of(["short"] * 6 + ["long " * 50] * 2)
    with pytest.warns(UserWarning, match=f"2 of 8 texts are longer than the {inputs.length} tokens") as told:
        tokens = tokenised(pool, inputs)
    assert len(told) == 1
    assert tokens.cut.sum() == 2 and np.diff(tokens.starts).max() == inputs.length


def test_tokens_are_cached(inputs, monkeypatch):
    pool = pool_of(["never seen", "before this test"])
    first = tokenised(pool, inputs)
    monkeypatch.setattr("bench.tasks.text.tokens._tokenise", None)
    assert np.array_equal(tokenised(pool, inputs).ids, first.ids)


def test_groups_are_never_parted():
    groups = np.repeat(np.arange(40), 5)
    pool = pool_of([str(i) for i in range(200)], groups=groups, hold_out=50)
    for seed in range(4):
        train, val, test = (set(groups[part]) for part in split(pool, train=80, val=30, test=None, seed=seed))
        assert not train & val and not train & test and not val & test
    first = split(pool, train=80, val=30, test=None, seed=0)[2]
    assert np.array_equal(first, split(pool, train=80, val=30, test=None, seed=1)[2])


def test_the_references_fit_the_runs_own_texts_or_all(monkeypatch):
    _, same, every = TASK.baselines
    assert "same 60 texts" in same.label(TASK) and "all 1" in every.label(TASK)
    small, large = same.evaluate(TASK, seed=0), every.evaluate(TASK, seed=0)
    assert large.metrics["test"]["top1"] > small.metrics["test"]["top1"] > 0.3
    assert len(small.tuning["candidates"]) == 5
    best = max(c["score"] for c in small.tuning["candidates"])
    assert small.metrics["val"]["top1"] == best
    train, val, test = every._split(TASK, seed=0)
    held_out = split(TASK.pool(), train=60, val=40, test=None, seed=0)[2]
    assert not set(train) & {*val, *test, *held_out}, "what is held out beyond the test part is not for training"


def test_references_are_recorded_once(tmp_path):
    records, told = Records(tmp_path / "tiny" / "smoke"), []
    for _ in range(2):
        Runner(STUDY, "smoke", records, watcher=Watcher(baseline=lambda record, fresh: told.append(fresh)))()
    stored = [r for r in records.all() if r["phase"] == "reference"]
    assert told == [True] * 6 + [False] * 6 and len(stored) == 6
    words = {"TfidfLogistic(texts='same')", "TfidfLogistic(texts='all')"}
    assert {r["method"]["spec"] for r in stored} == {"MajorityClass()", *words}


def test_outdated_references_are_moved_aside(tmp_path):
    """A baseline that the task no longer has goes; one of another seed stays: another part of the study may have it."""
    records = Records(tmp_path / "tiny" / "smoke")
    Runner(STUDY, "smoke", records)()
    of_old = next(r for r in records.all() if r["method"]["spec"] == "TfidfLogistic(texts='all')" and r["seed"] == 0)
    few = of_old["method"] | {"spec": "TfidfLogistic(texts='few')"}
    records.write(of_old | {"run_id": "0" * len(of_old["run_id"]), "method": few})
    Runner(replace(STUDY, seeds=(1,)), "smoke", records)()
    there = [r for r in records.all() if r["phase"] == "reference"]
    assert {r["seed"] for r in there} == {0, 1} and len(there) == 6
    assert not any("few" in r["method"]["spec"] for r in there)


def test_a_reference_that_fails_is_a_status_and_tried_again(tmp_path, monkeypatch):
    records = Records(tmp_path / "tiny" / "smoke")
    study = replace(STUDY, seeds=(0,))
    monkeypatch.setattr(TfidfLogistic, "evaluate", lambda *_, **__: 1 / 0)
    finals = Runner(study, "smoke", records)()
    failed = [r for r in records.all() if r["phase"] == "reference" and r["method"]["name"] == "TfidfLogistic"]
    assert [r["status"] for r in finals] == ["ok"] and [r["status"] for r in failed] == ["failed"] * 2
    assert failed[0]["reason"] == "ZeroDivisionError: division by zero"
    monkeypatch.undo()
    Runner(study, "smoke", records)()
    assert {r["status"] for r in records.all()} == {"ok"}


def test_a_class_that_the_training_texts_lack_is_not_another_one():
    texts = ["alpha beta"] * 10 + ["gamma delta"] * 10 + ["epsilon zeta"] * 10
    texts = [f"{text} {i}" for i, text in enumerate(texts)]
    labels = np.repeat([0, 1, 2], 10)

    class Task:
        metric, classes = "top1", 3
        train = val = test = None
        metrics = staticmethod(lambda outputs, targets: Text("unicode-names").metrics(outputs, targets))

        def pool(self):
            parts = {"official_val": np.arange(5), "official_test": np.arange(5, 10), "default_train": None}
            return replace(pool_of(texts, labels), classes=3, development=np.arange(10, 30), **parts)

    found = TfidfLogistic().evaluate(Task(), seed=0)
    assert found.metrics["test"]["top1"] == 0.0, "class 0 is not in train: it cannot be told"


def test_two_columns_of_one_file_are_two_sets(tmp_path, inputs):
    file = tmp_path / "two.csv"
    rows = "".join(f"title {i},a body that is much longer {i},{i % 2}\n" for i in range(60))
    file.write_text("title,body,label\n" + rows)
    short, long = (tokenised(TextCsv(str(file), text=column).pool(), inputs) for column in ("title", "body"))
    assert len(long.ids) > len(short.ids)
    assert len(TextCsv(str(file), text="title").baselines) == 2, "all texts are the same texts"


def test_weights_that_changed_under_their_name_are_other_weights(tmp_path):
    BERT.build().module.body.save_pretrained(tmp_path)
    BERT.build().inputs.tokenizer.save_pretrained(tmp_path)
    mine = HuggingFace(str(tmp_path), max_length=32)
    study = replace(STUDY, models=(mine,), seeds=(0,))
    records = Records(tmp_path / "tiny" / "smoke")
    (final,) = Runner(study, "smoke", records)()
    cell, trials = next(iter(of_cells(study, "cpu").items()))
    run = trials.finals(cell, final["tuning"]["chosen"]["params"])[0]
    assert usable(final, run, "cpu")
    HuggingFace("test-bert", weights="random").build(seed=5).module.body.save_pretrained(tmp_path)
    assert not usable(final, run, "cpu")


@pytest.mark.parametrize("method", [LinearProbe(), LoRA(rank=2), FullFineTuning()])
def test_a_run_learns_and_repeats(method):
    task = Text("unicode-names", train=300, val=60, test=100)
    run = Run(task, BERT, method, Training(lr=1e-2 if method != FullFineTuning() else 1e-3, epochs=3), seed=0)
    outcome, again = train(run), train(run)
    assert outcome.metrics["test"]["top1"] > 0.3
    assert learned(outcome.curve) == learned(again.curve)
    assert outcome.provenance["train_samples"] == 300 and "texts_truncated" in outcome.provenance


def test_a_cached_probe_is_the_same_as_an_uncached_one():
    run = Run(TASK, BERT, LinearProbe(), Training(lr=1e-2, epochs=3), seed=0)
    cached, plain = train(run), train(run, cache=False)
    assert [row["train_loss"] for row in cached.curve] == pytest.approx([row["train_loss"] for row in plain.curve])


def test_heads_are_counted():
    counts = [
        sum(p.numel() for p in Text("rotten-tomatoes", head_kind=kind).head(768).parameters())
        for kind in ("linear", "mlp")
    ]
    assert counts == [1538, 592_130]


@pytest.mark.parametrize(
    ("build", "told"),
    [
        (lambda: resolve("rotten-tomatos"), "did you mean 'rotten-tomatoes'"),
        (lambda: Text("rotten-tomatoes", head_kind="lineal"), "did you mean 'linear'"),
        (lambda: Text("rotten-tomatoes", train=0), "at least 1"),
        (lambda: TfidfLogistic(texts="some"), "same"),
        (lambda: TextCsv("a.csv", text=("a", "b", "c")), "or two for pairs"),
        (lambda: TextCsv(5), "give a CSV file"),
        (lambda: Cell(Images("elpv"), model("test-bert"), LoRA()), "one family"),
        (lambda: Text("unicode-names", train=99_999).sizes(), "train="),
    ],
)
def test_bad_input(build, told):
    with pytest.raises(BadInput, match=told):
        build()
