"""The text sets: nothing repeated on two sides, and what is wrong with one's own CSV said in a line."""

from __future__ import annotations

import csv
import re
import unicodedata
from functools import cache

import numpy as np
import pytest

from bench.errors import BadInput
from bench.tasks.pools import Pool, split
from bench.tasks.text.csv_files import csv_pool
from bench.tasks.text.sets import TEXT_SETS, deduplicated, normalised

PARTS = {"train": None, "val": None, "test": None}
NAMES = TEXT_SETS["unicode-names"].load()
OFFICIAL = {"20-newsgroups": (11293, 7528), "reuters-r8": (5485, 2189)}
COUNTS = {  # all, and what is left to draw from
    "rotten-tomatoes": (12808, 12751),
    "20-newsgroups": (18821, 11262),
    "reuters-r8": (7674, 5415),
    "tweets": (38158, 34497),
    "clothing": (22641, 22634),
    "clothing-departments": (22628, 22620),
    "spam-subjects": (6017, 3734),
}
REMOVED = {
    "rotten-tomatoes": {"duplicates_removed": 57, "conflicting_removed": 0},
    "20-newsgroups": {"test_duplicates_removed": 7, "conflicting_removed": 8, "duplicates_removed": 16},
    "reuters-r8": {"test_duplicates_removed": 5, "conflicting_removed": 10, "duplicates_removed": 55},
    "tweets": {"conflicting_removed": 1913, "duplicates_removed": 1748},
    "clothing": {"empty_removed": 845, "unlabelled_removed": 0, "conflicting_removed": 0, "duplicates_removed": 7},
    "clothing-departments": {
        "empty_removed": 845, "unlabelled_removed": 13, "conflicting_removed": 2, "duplicates_removed": 6,
    },
    "spam-subjects": {"empty_removed": 29, "conflicting_removed": 17, "duplicates_removed": 2266},
}  # fmt: skip


def rows(each=12, classes=("bad", "good"), start=0):
    """Lines of a small set: a different text on each."""
    return [(f"{name} thing number {i}", name) for i in range(start, start + each) for name in classes]


def write(path, lines, header=("text", "label"), **how):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding=how.pop("encoding", "utf-8")) as file:
        csv.writer(file, **how).writerows([header, *lines])
    return path


def load(path, text="text", label="label"):
    return csv_pool(path, text=text, label=label)


def refused(path, match, **columns):
    """The one line said about it."""
    with pytest.raises(BadInput, match=match) as caught:
        load(path, **columns)
    assert "\n" not in str(caught.value)


def test_repeats_go_and_what_is_tested_on_stays():
    texts = ["a", " A ", "b", "B\n", "c", "d", "c", "C  ", "e"]
    labels = [0, 0, 1, 0, 1, 0, 1, 1, 1]
    kept, removed = deduplicated(texts, labels, test=np.array([6, 7]))
    assert kept.tolist() == [0, 5, 8] and kept.dtype == np.int64
    assert removed == {"test_duplicates_removed": 1, "conflicting_removed": 2, "duplicates_removed": 1}
    kept, removed = deduplicated(texts, labels, test=None)
    assert kept.tolist() == [0, 4, 5, 8] and removed == {"conflicting_removed": 2, "duplicates_removed": 3}
    kept, removed = deduplicated(texts, labels, test=np.array([8]), val=np.array([7]))
    assert kept.tolist() == [0, 5] and removed["val_duplicates_removed"] == 2 and not removed["test_duplicates_removed"]


def test_pairs_repeat_only_as_a_whole():
    pairs = [("a", "b"), ("A", " b"), ("ab", ""), ("b", "a"), ("a", "c")]
    kept, removed = deduplicated(pairs, [0] * 5, test=None)
    assert kept.tolist() == [0, 2, 3, 4] and removed["duplicates_removed"] == 1


def test_unicode_names_are_real_balanced_and_quick():
    assert len(NAMES.labels) == 2500 and np.bincount(NAMES.labels).tolist() == [500] * 5
    assert NAMES.labels.dtype == np.int64 and NAMES.classes == TEXT_SETS["unicode-names"].classes
    texts = [NAMES.read(i) for i in range(2500)]
    assert len(set(texts)) == 2500 and "HANGUL SYLLABLE" not in " ".join(texts)
    named = {label: {unicodedata.category(unicodedata.lookup(t)) for t in np.array(texts)[NAMES.labels == label][::25]}
             for label in range(5)}  # fmt: skip
    assert [max(found) for found in named.values()] == ["Ll", "Lo", "Lu", "Sm", "So"]
    assert [len(part) for part in split(NAMES, seed=0, **PARTS)] == [800, 200, 500]
    again = TEXT_SETS["unicode-names"].load()
    assert again.sha256 == NAMES.sha256 == "ce6ab7ef2fdca150b739f2ce8eb33e31975627faa8862383420d105dbf23d702"


def test_a_group_is_never_on_two_sides():
    films = np.arange(2500) // 25
    grouped = Pool(**{**vars(NAMES), "groups": films})
    for seed in range(3):
        sides = [set(films[part]) for part in split(grouped, train=600, val=150, test=None, seed=seed)]
        assert not (sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])


def test_one_file(tmp_path):
    pool = load(write(tmp_path / "mine.csv", rows(30)))
    train, val, test = split(pool, seed=0, **PARTS)
    assert (len(train), len(val), len(test)) == (39, 9, 12) and pool.classes == 2 and pool.name == "mine"
    assert pool.read(0) == "bad thing number 0" and pool.title(3) == "mine.csv line 5" and pool.labels.dtype == np.int64
    assert np.array_equal(test, split(pool, seed=1, **PARTS)[2]) and len({*train, *val, *test}) == 60
    same = load(write(tmp_path / "copy" / "other.csv", rows(30)))
    assert same.sha256 == pool.sha256 != load(write(tmp_path / "more.csv", rows(31))).sha256


def test_a_folder_with_all_parts(tmp_path):
    write(tmp_path / "train.csv", [*rows(9), ("of val", "bad"), ("of test", "bad"), ("BAD thing  number 0", "bad")])
    write(tmp_path / "validation.csv", [("Of val", "good"), ("other", "bad"), ("of TEST", "bad")])
    write(tmp_path / "test.tsv", [("of test", "good"), ("of test", "good")], delimiter="\t")
    pool = load(tmp_path)
    assert len(pool.development) == 18 and [pool.read(i) for i in pool.official_val] == ["Of val", "other"]
    assert [pool.read(i) for i in pool.official_test] == ["of test"] * 2
    assert pool.removed == {"test_duplicates_removed": 2, "val_duplicates_removed": 1, "conflicting_removed": 0,
                            "duplicates_removed": 1}  # fmt: skip
    assert [len(part) for part in split(pool, seed=0, **PARTS)] == [18, 2, 2]


def test_a_folder_without_validation(tmp_path):
    write(tmp_path / "train.csv", rows(20))
    write(tmp_path / "test.csv", rows(5, start=50))
    pool = load(tmp_path)
    assert pool.official_val is None and [len(part) for part in split(pool, seed=0, **PARTS)] == [32, 8, 10]


def test_pairs(tmp_path):
    lines = [("id", f"premise {i}", "says, who", str(i % 2)) for i in range(40)]
    pool = load(write(tmp_path / "p.csv", lines, header=("id", "a", "b", "y")), text=("a", "b"), label="y")
    assert pool.read(3) == ("premise 3", "says, who") and pool.labels[:4].tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("how", [
    {}, {"encoding": "utf-8-sig"}, {"delimiter": ";"}, {"quoting": csv.QUOTE_ALL}, {"lineterminator": "\n"},
    {"delimiter": ";", "encoding": "utf-8-sig", "quoting": csv.QUOTE_ALL},
])  # fmt: skip
def test_quotes_newlines_and_marks(tmp_path, how):
    odd = 'said: "yes, and; no",\nthen\r\nleft\x85 — naïve'
    pool = load(write(tmp_path / "q.csv", [(odd, "bad"), *rows()], **how))
    assert pool.read(0) == odd and pool.title(1) == "q.csv line 5" and len(pool.labels) == 25


def test_long_texts_and_numbers_as_labels(tmp_path):
    lines = [(f"{'long ' * 40_000}{i}", str(8 + i % 3)) for i in range(12)]
    before = csv.field_size_limit()
    pool = load(write(tmp_path / "n.csv", lines))
    assert pool.labels[:3].tolist() == [0, 1, 2], "8, 9, 10: not 10, 8, 9"
    assert csv.field_size_limit() == before


def test_no_file(tmp_path):
    refused(tmp_path / "gone.csv", "no file .*gone.csv")
    refused(tmp_path, "no train.csv in")
    for name in ("train.csv", "val.csv", "validation.csv"):
        write(tmp_path / name, rows())
    refused(tmp_path, "both val.csv and validation.csv")


def test_not_a_csv(tmp_path):
    (tmp_path / "a.xlsx").write_bytes(b"PK")
    refused(tmp_path / "a.xlsx", "not a CSV by its name")
    (tmp_path / "a.csv").write_bytes("text,label\nnaïve déjà vu\n".encode() + b"na\xefve,bad\n")
    refused(tmp_path / "a.csv", "line 3 is not UTF-8, while most is")
    (tmp_path / "b.csv").write_text('text,label\nfine,bad\n"never closed,good\nmore,bad\n')
    refused(tmp_path / "b.csv", "quotes of the record on line 3")
    (tmp_path / "c.csv").write_text('text,label\n"two\nlines",bad\nso, this has, commas,bad\n')
    refused(tmp_path / "c.csv", "line 4 has 4 fields, the header 2")
    (tmp_path / "d.csv").write_text("")
    refused(tmp_path / "d.csv", "is empty")
    refused(write(tmp_path / "e.csv", []), "no rows")


def test_columns_it_does_not_have(tmp_path):
    path = write(tmp_path / "a.csv", rows(), header=("texts", "label"))
    refused(path, "unknown column of a.csv 'text': did you mean 'texts'")
    refused(path, "unknown column of a.csv 'zzz': known: label, texts", text="texts", label="zzz")
    refused(path, "different columns", text="label")
    refused(write(tmp_path / "b.csv", [("a", "b", "c")], header=("text", "label", "text")), "2 columns are called")
    write(tmp_path / "train.csv", rows())
    write(tmp_path / "test.csv", [("x", "bad")], header=("text", "Labels"))
    refused(tmp_path, "unknown column of test.csv 'label': did you mean 'Labels'")


def test_texts_and_labels_that_are_missing(tmp_path):
    refused(write(tmp_path / "a.csv", [*rows(2), (" ", "bad"), ("", "bad")]), "2 of 6 rows have no text.* line 6")
    refused(write(tmp_path / "b.csv", [("x\ny", "bad"), ("z", " ")]), "1 of 2 rows have no label.* line 4")
    lines = [("a", "b", "0"), ("a", "", "1")]
    pair = write(tmp_path / "c.csv", lines, header=("one", "two", "y"))
    refused(pair, "1 of 2 rows have no text", text=("one", "two"), label="y")


def test_classes_that_will_not_do(tmp_path):
    refused(write(tmp_path / "one.csv", rows(classes=("bad",))), r"has one class \(bad\)")
    refused(write(tmp_path / "few.csv", [*rows(), ("x", "odd"), ("y", "odd")]), "'odd' has 2 different texts, 3 are")
    copies = [("same", "odd"), ("Same", "odd"), ("same ", "odd")]
    refused(write(tmp_path / "same.csv", [*rows(), *copies]), "'odd' has 1 different texts")
    many = [(f"text {i}", f"class {i}") for i in range(9)]
    refused(write(tmp_path / "ids.csv", many), "9 of 9 classes have too few")
    write(tmp_path / "train.csv", rows())
    write(tmp_path / "test.csv", [*rows(2), ("x", "odd")])
    refused(tmp_path, r"'odd' \(test.csv line 6\) does not occur in the training part")


@cache
def real(name):
    return TEXT_SETS[name].load()


@pytest.mark.assets
@pytest.mark.parametrize("name", COUNTS)
def test_real_sets(asset, name):
    asset({"clothing-departments": "clothing", "spam-subjects": "spam-assassin"}.get(name, name))
    pool = real(name)
    assert (len(pool.labels), len(pool.development)) == COUNTS[name] and dict(pool.removed) == REMOVED[name]
    assert pool.classes == TEXT_SETS[name].classes == len(set(pool.labels[pool.development]))
    train, val, test = split(pool, seed=0, **PARTS)
    if name in OFFICIAL:
        assert np.array_equal(test, np.arange(*np.cumsum(OFFICIAL[name])))
    keys = [normalised(pool.read(i)) for i in range(len(pool.labels))]
    developed, tested = ({keys[i] for i in part} for part in (pool.development, test))
    assert len(developed) == len(pool.development) and all(keys), "every text once"
    if name in OFFICIAL:
        assert not developed & tested
    assert not {keys[i] for i in (*train, *val)} & tested and not set(train) & set(val)
    assert not any("&amp;" in key or "  " in key for key in keys)


@pytest.mark.assets
@pytest.mark.long
def test_subjects_do_not_tell_by_their_marks(asset):
    """A reply or the name of a mailing list would tell ham; an encoded subject is read."""
    asset("spam-assassin")
    pool = real("spam-subjects")
    texts = [pool.read(int(i)) for i in pool.development]
    assert not any(re.match(r"(?i)re\s*:|fwd?\s*:|\[[^\]]*\]", text) for text in texts)
    assert sum("=?" in text for text in texts) <= 2, "but for what is damaged"
    assert np.bincount(pool.labels[pool.development]).tolist() == [2075, 1659] and pool.names == ("ham", "spam")


@pytest.mark.assets
def test_films_are_held_out_whole(asset):
    asset("rotten-tomatoes")
    pool = real("rotten-tomatoes")
    train, val, test = (set(pool.groups[part]) for part in split(pool, train=None, val=None, test=None, seed=1))
    assert not (train & val or train & test or val & test)
    assert len(set(pool.groups)) == 508 and 2300 < len(split(pool, seed=2, **PARTS)[2]) < 2700


@pytest.mark.assets
def test_mangled_texts_are_mended(asset):
    asset("tweets")
    texts = " ".join(real("tweets").read(i) for i in range(38158))
    assert "I’ve" in texts and "‰Ûª" not in texts
    asset("clothing")
    words = " ".join(real("clothing").read(i) for i in range(22641)).split()
    assert {"appliqué", "über"} <= {*words} and not any("ã" in word or "â" in word for word in words)
