"""Extractive question answering: windows, targets, splits, the official figures, whole runs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torchmetrics.functional.text import squad as torchmetrics_squad

from bench.errors import BadInput
from bench.methods import FullFineTuning, LinearProbe, LoRA
from bench.models import HuggingFace
from bench.tasks import Squad
from bench.tasks.text.squad_metrics import answer_scores, best_spans, normalised
from bench.tasks.text.squad_read import load
from bench.tasks.text.squad_windows import windowed
from bench.training.loop import Loop, Outcome, prepare, train
from bench.training.recipe import Training
from bench.training.run import Run
from tests.support.squad_data import CONTEXTS, article, folder, write

BERT = HuggingFace("test-bert", weights="random", max_length=96)


pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def inputs():
    return BERT.build(output="tokens").inputs


def perfect(split, *, shift=0):
    """Batches of logits that point where the targets do, or `shift` tokens after it, and the targets."""
    outputs, targets = [], []
    for index in torch.arange(len(split)).split(2):
        spans = split.targets(index)
        length = split.inputs(index)["input_ids"].shape[1]
        null = torch.from_numpy(spans.windows.null[spans.rows]).long()[:, None]
        # A window without the answer is unsure of any span, one with it sure.
        made = torch.full((len(index), length, 2), -9.0)
        moved = torch.where(spans.span == null, spans.span, spans.span + shift)
        made.scatter_(1, moved[:, None, :], 9.0)
        outputs.append(made)
        targets.append(spans)
    return outputs, targets


def test_long_contexts_go_into_overlapping_windows(tmp_path, inputs):
    source = load(folder(tmp_path / "v1").path)
    windows = windowed(source, inputs, stride=24)
    lengths = np.diff(windows.tokens.starts)
    assert lengths.max() <= 96 and set(windows.question) == set(range(12))
    for number, question in enumerate(source.questions):
        rows = windows.of(np.array([number]))
        assert (len(rows) > 1) == (question.title == "Long")
        texts = [windows.text(row, windows.bounds[row, 0], windows.bounds[row, 1] - 1) for row in rows]
        joined = texts[0]
        for text in texts[1:]:
            assert joined[-24:] == text[:24], "neighbours share 24 tokens, here bytes"
            joined += text[24:]
        assert joined == question.context
    again = windowed(source, inputs, stride=24)
    assert np.array_equal(windows.spans, again.spans) and np.array_equal(windows.offsets, again.offsets)


def test_every_target_decodes_to_its_answer(tmp_path, inputs):
    source = load(folder(tmp_path / "v2", impossible=True).path)
    windows = windowed(source, inputs, stride=24)
    found = dict.fromkeys(range(len(source.questions)), 0)
    for row, (first, last) in enumerate(windows.spans):
        question = source.questions[windows.question[row]]
        if first != windows.null[row]:
            assert windows.text(row, first, last) == question.answers[0].text
            assert windows.bounds[row, 0] <= first <= last < windows.bounds[row, 1]
            found[windows.question[row]] += 1
        else:
            assert first == last == 0, "[CLS]"
    answerable = [number for number, question in enumerate(source.questions) if question.answers]
    assert all((found[i] > 0) == (i in answerable) for i in found)
    assert windows.beyond(np.array(answerable)) == 0


def test_the_answer_is_the_occurrence_that_is_meant(tmp_path, inputs):
    place = CONTEXTS["Cities"].rindex("Paris")
    write(tmp_path / "one.json", [article(t, starts=str.rindex) for t in ("Cities", "Trees", "Rivers")])
    source = load(str(tmp_path / "one.json"))
    windows = windowed(source, inputs, stride=24)
    number = next(i for i, question in enumerate(source.questions) if question.answers[0].text == "Paris")
    row = windows.of(np.array([number]))[0]
    assert windows.offsets[windows.tokens.starts[row] + windows.spans[row, 0], 0] == place


@pytest.mark.parametrize("impossible", [False, True])
def test_a_perfect_predictor_is_perfect_and_a_shifted_one_is_not(tmp_path, inputs, impossible):
    task = folder(tmp_path / f"v{impossible}", impossible=impossible)
    data = task.data(inputs, seed=0)
    for split in (data.train, data.val, data.test):
        found = task.metrics(*perfect(split))
        assert found["f1"] == found["exact_match"] == 1 and found["loss"] < 1e-3
        assert task.metrics(*perfect(split, shift=1))["exact_match"] < 0.5
    assert ("no_answer_f1" in found) == impossible
    outcomes = task.outcomes(*perfect(data.test, shift=1), data.test.ids)
    shifted = task.metrics(*perfect(data.test, shift=1))
    assert [outcomes.score(name) for name in ("f1", "exact_match")] == pytest.approx(
        [shifted[name] for name in ("f1", "exact_match")]
    )
    assert outcomes.score("loss") == pytest.approx(shifted["loss"], rel=2**-11)
    assert outcomes.ids.tolist() == sorted(set(data.test.ids)) and sum(outcomes["windows"]) == len(data.test)
    # Windows of one question lie in several batches, and in any order.
    outputs, targets = perfect(data.train)
    assert task.metrics(outputs[::-1], targets[::-1]) == pytest.approx(task.metrics(outputs, targets))


def test_no_answer_is_weighed_against_the_best_span(tmp_path, inputs):
    task = folder(tmp_path / "null", impossible=True)
    outputs, targets = perfect(task.data(inputs, seed=0).test)
    for made, spans in zip(outputs, targets, strict=True):
        made[torch.arange(len(made)), torch.from_numpy(spans.windows.null[spans.rows]).long()] = 20.0
    found = task.metrics(outputs, targets)
    assert (found["no_answer_f1"], found["has_answer_f1"], found["f1"]) == (1, 0, 0.25)


def test_best_spans_against_all_pairs():
    torch.manual_seed(0)
    outputs, bounds = torch.randn(20, 12, 2), torch.tensor([[3, 9], [5, 12], [4, 4], [0, 1]] * 5)
    score, first, last = best_spans(outputs, bounds, longest=4)
    for i, (low, high) in enumerate(bounds.tolist()):
        pairs = [(a, b) for a in range(low, high) for b in range(a, min(high, a + 4))]
        if pairs:
            best = max(pairs, key=lambda pair: outputs[i, pair[0], 0] + outputs[i, pair[1], 1])
            assert (first[i], last[i]) == best
        else:
            assert score[i] == -torch.inf


def test_official_figures_by_hand():
    assert normalised("  The  Alps, (an) “Area”! ") == "alps “area”"
    for made, references, exact, f1 in (
        ("the Alps", ["Alps"], 1, 1),
        ("in the Alps", ["the Alps"], 0, 2 / 3),
        ("north sea", ["sea", "the North Sea."], 1, 1),
        ("oak oak", ["oak tree"], 0, 1 / 2),
        ("", ["oak"], 0, 0),
    ):
        assert answer_scores(made, references, unanswerable=False) == (exact, pytest.approx(f1))
        theirs = torchmetrics_squad(
            {"id": "0", "prediction_text": made}, {"id": "0", "answers": {"text": references, "answer_start": [0]}}
        )
        assert theirs["exact_match"] == 100 * exact and theirs["f1"].item() == pytest.approx(100 * f1)


def test_official_figures_where_the_scripts_differ():
    """2.0 takes "" for the right answer where there is none, and leaves out references that normalise to nothing."""
    assert answer_scores("", [], unanswerable=True) == (1, 1)
    assert answer_scores("oak", [], unanswerable=True) == (0, 0)
    assert answer_scores("", ["oak"], unanswerable=True) == (0, 0)
    assert answer_scores("a", ["The", "oak"], unanswerable=True) == (0, 0)
    assert answer_scores("a", ["The", "oak"], unanswerable=False) == (1, 0)


def test_loss_is_the_mean_of_two_cross_entropies_and_knows_no_padding(tmp_path, inputs):
    task = folder(tmp_path / "loss")
    spans = task.data(inputs, seed=0).train.targets(torch.arange(3))
    torch.manual_seed(0)
    outputs = torch.randn(3, int(spans.length.max()), 2)
    for smoothing in (0.0, 0.1):
        expected = [
            torch.nn.functional.cross_entropy(outputs[i, :n, j], spans.span[i, j], label_smoothing=smoothing)
            for i, n in enumerate(spans.length.tolist())
            for j in (0, 1)
        ]
        longer = torch.nn.functional.pad(outputs, (0, 0, 0, 5), value=50.0).requires_grad_()
        loss = task.loss(longer, spans, smoothing=smoothing)
        assert loss.item() == pytest.approx(torch.stack(expected).mean().item(), rel=1e-5)
        loss.backward()
        assert longer.grad.isfinite().all() and not longer.grad[:, -5:].any()


def test_no_context_is_on_two_sides(tmp_path, inputs):
    write(tmp_path / "one.json", [article(title) for title in CONTEXTS])
    task = Squad(str(tmp_path / "one.json"), stride=24)
    source = load(task.path)
    for seed in range(3):
        data = task.data(inputs, seed=seed)
        parts = [set(split.windows.question[split.text.rows]) for split in (data.train, data.val, data.test)]
        titles = [{source.questions[i].title for i in part} for part in parts]
        assert sum(map(len, titles)) == len(set.union(*titles)), "an article is on one side only"
        sizes = tuple(data.provenance[f"{name}_samples"] for name in ("train", "val", "test"))
        assert sizes == tuple(map(len, parts)) == task.sizes()
        assert data.provenance["data_sha256"] == task.fingerprint()
        assert data.provenance["train_windows"] == len(data.train)
    tests = [set(task.data(inputs, seed=seed).test.text.rows) for seed in (0, 1)]
    assert tests[0] == tests[1]


def test_long_questions_are_cut_and_counted(tmp_path, inputs):
    entry = article("Rivers")
    entry["paragraphs"][0]["qas"][0]["question"] = "Where " * 40
    write(tmp_path / "long.json", [entry, article("Cities"), article("Trees")])
    task = Squad(str(tmp_path / "long.json"), stride=24)
    data = task.data(inputs, seed=0)
    assert data.provenance["questions_truncated"] == 1 and data.provenance["answers_beyond_windows_skipped"] == 0
    assert int(np.diff(data.train.windows.tokens.starts).max()) <= 96
    for stride in (80, 128):
        with pytest.raises(BadInput, match=f"stride={stride} of 96 tokens leaves"):
            Squad(task.path, stride=stride).data(inputs, seed=0)


@pytest.mark.parametrize("method", [LoRA(rank=4), LinearProbe()])
def test_a_whole_run(tmp_path, one_thread, method):
    task = folder(tmp_path / "run", impossible=True)
    training = Training(lr=1e-2, head_lr=1e-2, epochs=3, batch_size=4, precision="fp32")
    outcome = train(Run(task, BERT, method, training, seed=0))
    assert outcome.status == "ok" and outcome.curve[-1]["train_loss"] < outcome.curve[0]["train_loss"]
    assert set(outcome.metrics["test"]) == {"f1", "exact_match", "has_answer_f1", "no_answer_f1", "loss"}
    assert outcome.parameters["head"] == 2 * BERT.build(output="tokens").width + 2
    assert outcome.provenance["data_sha256"] == task.fingerprint()


def test_a_few_questions_are_learned_by_heart(tmp_path, one_thread):
    task = folder(tmp_path / "run", impossible=True)
    training = Training(lr=3e-3, head_lr=1e-2, epochs=50, batch_size=4, precision="fp32")
    run, outcome = Run(task, replace(BERT, dropout=0.0), FullFineTuning(), training, seed=0), Outcome()
    parts, data = prepare(run, outcome, device="cpu")
    loop = Loop(run, parts, data, outcome)
    assert loop.evaluate("train")["f1"] < 0.5
    losses = [loop.epoch(epoch)["train_loss"] for epoch in range(1, training.epochs + 1)]
    found = loop.evaluate("train")
    assert losses[-1] < 0.2 * losses[0] and found["f1"] > 0.9 and found["no_answer_f1"] == 1
