"""Labels, texts and files that a tool wrote oddly: none becomes another class, or a class, unsaid."""

from __future__ import annotations

import json
from collections import Counter

import pyarrow
import pytest
from pyarrow import parquet

from bench.errors import BadInput
from bench.tasks import TextCsv

HEAD = "text,label\n"


def rows(labels, each=8, start=0):
    return "".join(f"text {start + i} of {n},{label}\n" for n, label in enumerate(labels) for i in range(each))


def pool(path, content=None, **how):
    if content is not None:
        path.write_text(content, encoding="utf-8")
    return TextCsv(str(path), **how).pool()


def refused(path, match, content=None, **how):
    with pytest.raises(BadInput, match=match) as caught:
        pool(path, content, **how)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 1300


def counts(made):
    return {made.names[label]: count for label, count in Counter(made.labels.tolist()).items()}


@pytest.mark.parametrize(
    ("labels", "classes", "said"),
    [
        (["1", "1.0", "0", "0.0"], {"0": 16, "1": 16}, "mended 16: labels that are the same number"),
        (["+1", "-1", "1"], {"1": 16, "-1": 8}, "mended 8: labels that are the same number"),
        (["1.0", "2.0"], {"1.0": 8, "2.0": 8}, ""),  # as they stand, where none is written otherwise
        (["01", "1"], {"01": 8, "1": 8}, ""),
        (["1.0", "1", "v2"], {"1.0": 8, "1": 8, "v2": 8}, ""),
        (["pos", " pos ", "neg"], {"pos": 16, "neg": 8}, "mended 8: labels with blanks"),
        (["pos", "\ufeffpos", "neg\u200b"], {"pos": 16, "neg": 8}, "mended 16: labels with blanks"),
        (["caf\u00e9", "cafe\u0301", "tea"], {"caf\u00e9": 16, "tea": 8}, "mended 8: labels with blanks"),
        (["pos", "Pos", "neg"], {"Pos": 8, "neg": 8, "pos": 8}, "assumed: names that differ only in capitals"),
        (["nan", "zho"], {"nan": 8, "zho": 8}, "assumed: a name that may mean that there is none"),
        (["None", "NA"], {"NA": 8, "None": 8}, "assumed 2: a name that may mean that there is none"),
        (["1" * 5000, "2" * 5000], {"1" * 5000: 8, "2" * 5000: 8}, ""),
    ],
)
def test_spellings_of_labels(tmp_path, labels, classes, said):
    made = pool(tmp_path / "x.csv", HEAD + rows(labels))
    notes = [str(note) for note in made.notes]
    assert counts(made) == classes
    assert [note.startswith(said) for note in notes] == ([True] if said else [])


@pytest.mark.parametrize(("labels", "none"), [(["1", "0"], "nan"), (["1", "0"], "NaN"), (["a", "b"], "#N/A")])
def test_labels_that_say_that_there_is_none(tmp_path, labels, none):
    content = HEAD + rows(labels) + f"one,{none}\ntwo,{none}\n"
    refused(tmp_path / "x.csv", "2 of 18 rows have no label, the first on line 18", content)
    assert pool(tmp_path / "x.csv", content, skip_empty=True).removed["unlabelled_removed"] == 2


@pytest.mark.parametrize("none", ["nan", "NaN", "-1.0", "-1", ""])
def test_a_test_file_whose_labels_are_kept_back(tmp_path, none):
    (tmp_path / "test.csv").write_text(f"{HEAD}x,{none}\ny,{none}\n")
    (tmp_path / "train.csv").write_text(HEAD + rows(["1.0", "0.0"]))
    assert pool(tmp_path).official_test is None


def test_parts_that_write_numbers_differently(tmp_path):
    (tmp_path / "train.csv").write_text(HEAD + rows(["1.0", "0.0"]))
    (tmp_path / "test.csv").write_text(HEAD + rows(["1", "0"], each=2, start=50))
    assert counts(pool(tmp_path)) == {"1": 10, "0": 10}


@pytest.mark.parametrize("again", [HEAD, "\ufeff" + HEAD])
def test_a_header_within_a_file_is_no_text(tmp_path, again):
    made = pool(tmp_path / "x.csv", HEAD + rows(["pos"]) + again + rows(["neg"], start=50))
    assert counts(made) == {"pos": 8, "neg": 8} and made.removed["header_lines_dropped"] == 1


def test_half_a_character(tmp_path):
    those = [{"text": f"{i} of {label}", "label": label} for label in "ab" for i in range(6)]
    those[0]["text"], those[1]["text"] = "cut \ud83d", "whole \ud83d\ude00"
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, those)))
    made = pool(tmp_path / "x.jsonl")
    assert [made.read(i) for i in (0, 1)] == ["cut \ufffd", "whole \U0001f600"]
    assert made.removed["characters_replaced"] == 1


@pytest.mark.parametrize(
    ("column", "match"),
    [
        ([b"\xff"] * 16, "bytes that are not UTF-8"),
        (pyarrow.array([10**18] * 16, pyarrow.timestamp("us")), "cannot be read as Parquet"),
        ([{"a": "x"}] * 16, "is dict, not a text"),
        ([["x"]] * 16, "is list, not a text"),
    ],
)
def test_columns_of_parquet_that_are_no_texts(tmp_path, column, match):
    parquet.write_table(pyarrow.table({"text": column, "label": ["a", "b"] * 8}), tmp_path / "x.parquet")
    refused(tmp_path / "x.parquet", match)


def test_pieces_of_the_hub_with_a_hash(tmp_path):
    for part, start in (("train", 0), ("test", 50)):
        table = pyarrow.table({"text": [f"t{start + i}" for i in range(16)], "label": ["a", "b"] * 8})
        parquet.write_table(table, tmp_path / f"{part}-00000-of-00001-0123456789abcdef.parquet")
    assert len(pool(tmp_path).official_test) == 16


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "loop.csv"])
def test_paths_that_are_none(tmp_path, name):
    (tmp_path / "loop.csv").symlink_to("loop.csv")
    refused(tmp_path / name, "no file")


def test_what_test_has_twice_stays_and_is_said(tmp_path):
    (tmp_path / "train.csv").write_text(HEAD + rows(["pos", "neg"]))
    (tmp_path / "test.csv").write_text(HEAD + "a,pos\nA ,neg\nb,neg\nb,neg\n")
    made = pool(tmp_path)
    assert len(made.official_test) == 4
    assert [str(note) for note in made.notes] == [
        "assumed: texts that test has twice count twice, under another label, e.g. test.csv line 3",
        "assumed: texts that test has twice count twice, e.g. test.csv line 5",
    ]
