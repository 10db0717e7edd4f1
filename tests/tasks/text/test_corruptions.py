"""Corruptions of texts: typos inside longer words, and a text that breaks off."""

from __future__ import annotations

from difflib import SequenceMatcher

import pytest
import torch

from bench.models import HuggingFace
from bench.tasks import Text
from bench.tasks.text.corruptions import LEFT, TYPOS, misspelt, truncated

WORDS = "wonderful performances throughout although certain passages meander without purpose " * 60
TEXT = "It is a tale of two towns, told twice."


def test_typos_come_as_often_as_is_said_and_keep_first_and_last_letters() -> None:
    for severity, share in enumerate(TYPOS, 1):
        pairs = list(zip(WORDS.split(), misspelt(WORDS, severity).split(), strict=True))
        wrong = [(old, new) for old, new in pairs if old != new]
        assert len(wrong) / len(pairs) == pytest.approx(share, abs=0.06)
        assert all(old[0] == new[0] and old[-1] == new[-1] and abs(len(old) - len(new)) <= 1 for old, new in wrong)
        assert all(SequenceMatcher(None, old, new).ratio() > 0.7 for old, new in wrong)
    assert misspelt(WORDS, 3) == misspelt(WORDS, 3) != misspelt(WORDS, 4)
    assert misspelt("a cat sat on it, 12345 km off", 5) == "a cat sat on it, 12345 km off"  # short words, numbers


def test_a_text_breaks_off_after_a_share_of_its_words() -> None:
    for severity, share in enumerate(LEFT, 1):
        left = truncated(WORDS, severity)
        assert WORDS.startswith(left) and len(left.split()) == pytest.approx(share * len(WORDS.split()), abs=1)
    assert truncated("one", 5) == "one" and truncated("", 5) == "" and truncated(TEXT, 5) == "It is"


@pytest.mark.usefixtures("own_cache")
def test_a_split_is_told_anew_with_the_labels_it_had() -> None:
    task, model = Text("unicode-names", train=60, val=30, test=60), HuggingFace("test-bert", weights="random")
    inputs = model.build(device="cpu", seed=0, output="pooled").inputs
    test = task.data(inputs, seed=0).test
    index = torch.arange(0, 60, 3)
    same, worse = (task.corrupted(test, inputs, index, name, s) for name, s in (("", 0), ("typos", 5)))
    assert sorted(same.ids) == sorted(worse.ids) and len(worse) == 20
    labels = [dict(zip(split.ids.tolist(), split.labels.tolist(), strict=True)) for split in (same, worse)]
    assert labels[0] == labels[1]
    every = torch.arange(20)
    assert same.inputs(every)["input_ids"].shape[0] == 20
    assert not torch.equal(same.lengths.sort().values, worse.lengths.sort().values)
