"""The sets of GLUE: where their rows lie, what their columns are called, and how they become a pool."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from bench.errors import BadInput
from bench.tasks.caches import stamps
from bench.tasks.folder_listing import below
from bench.tasks.pools import Pool
from bench.tasks.text.hub_sets import READERS, from_files, from_folder, from_hub
from bench.tasks.text.sets import deduplicated, fingerprint

HUB = "nyu-mll/glue"
LARGEST_VAL = 1000


@dataclass(frozen=True)
class GlueSet:
    """A declared set of GLUE.

    Args:
        about: what it is, for `bench tasks`.
        metric: the one that counts.
        columns: of the text or the two texts; the hub's name first, then that of GLUE's own .tsv.
        names: of the classes, in the hub's order; empty where a number is to be predicted.
        label: names of the column with the label.
        test: names of the part that is tested on.
        no_header: columns of GLUE's own .tsv, where it does not name them.
    """

    about: str
    metric: str
    columns: tuple[tuple[str, ...], ...]
    names: tuple[str, ...] = ()
    label: tuple[str, ...] = ("label",)
    test: tuple[str, ...] = ("validation", "dev")
    no_header: tuple[str, ...] = ()

    @property
    def classes(self) -> int:
        """Number of classes; 1 for a regression."""
        return len(self.names) or 1


_PAIR = (("sentence1", "#1 String"), ("sentence2", "#2 String"))
_ENTAILED = ("entailment", "not_entailment")

GLUE: dict[str, GlueSet] = {
    "sst2": GlueSet("67,349 snippets of film reviews: sentiment", "top1", (("sentence",),), ("negative", "positive")),
    "cola": GlueSet(
        "8,551 sentences: grammatical or not", "matthews", (("sentence",),), ("unacceptable", "acceptable"),
        no_header=("source", "label", "star", "sentence"),
    ),
    "mrpc": GlueSet(
        "3,668 pairs from the news: paraphrases or not", "f1", _PAIR, ("not_equivalent", "equivalent"),
        label=("label", "Quality"),
    ),
    "rte": GlueSet("2,490 pairs: does the first entail the second", "top1", _PAIR, _ENTAILED),
    "qnli": GlueSet(
        "104,743 questions and sentences: is the answer in it", "top1", (("question",), ("sentence",)), _ENTAILED
    ),
    "qqp": GlueSet(
        "363,846 pairs of questions: the same or not", "f1", (("question1",), ("question2",)),
        ("not_duplicate", "duplicate"), label=("label", "is_duplicate"),
    ),
    "mnli": GlueSet(
        "392,702 premises and hypotheses: entailment, neutral, contradiction", "top1",
        (("premise", "sentence1"), ("hypothesis", "sentence2")), ("entailment", "neutral", "contradiction"),
        label=("label", "gold_label"), test=("validation_matched", "dev_matched"),
    ),
    "stsb": GlueSet("5,749 pairs: how similar, from 0 to 5", "pearson", _PAIR, label=("label", "score")),
}  # fmt: skip


def plain(name: str) -> str:
    """ "SST-2", "sst_2" and "sst2" are one set."""
    return re.sub(r"[-_ ]", "", name).lower()


def load(name: str, root: str | None) -> Pool:
    """The pool of a set: from the hub, or from a local folder (`None` or a path); kept while its files are the same.

    Raises:
        BadInput: it is not there, or is not what GLUE has.
    """
    if root is None:
        return _load(name, None, ())
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise BadInput(f"{root!r} is no folder: give one with the train and {GLUE[name].test[0]} files of {name}")
    folder = next((inner for inner in sorted(folder.iterdir()) if inner.is_dir() and plain(inner.name) == name), folder)
    return _load(name, folder, stamps(below(folder)))


@lru_cache(maxsize=4)
def _load(name: str, folder: Path | None, _there: tuple[Any, ...]) -> Pool:
    declared = GLUE[name]
    train, test = _rows(declared, folder, name)
    texts, labels, removed = [], [], 0
    sizes = []
    for part, rows in (("train", train), ("test", test)):
        found = list(_samples(declared, rows, f"{name} ({part})"))
        whole = [(text, label) for text, label in found if label is not None]
        if not whole:
            raise BadInput(f"{name}: no row of its {part} part has a label")
        removed += len(found) - len(whole)
        texts += [text for text, _ in whole]
        labels += [label for _, label in whole]
        sizes.append(len(whole))
    numbers = np.array(labels, np.int64 if declared.names else np.float32)
    official = np.arange(sizes[0], sum(sizes))
    tagged = [*(("train", label) for label in labels[: sizes[0]]), *(("test", label) for label in labels[sizes[0] :])]
    development, duplicates = deduplicated(texts, numbers, test=official)
    return Pool(
        name=name,
        labels=numbers,
        classes=declared.classes,
        read=texts.__getitem__,
        title=lambda i: f"pair {i}" if len(declared.columns) > 1 else f"sentence {i}",
        sha256=fingerprint(texts, tagged),
        development=development,
        official_test=official,
        default_train=None,
        default_val=max(declared.classes, min(LARGEST_VAL, len(development) // 10)),
        removed={"unlabelled_removed": removed, **duplicates},
    )


def _rows(declared: GlueSet, folder: Path | None, name: str) -> tuple[Any, Any]:
    """The train and the test part as `datasets` gives them."""
    if folder is None:
        made = from_hub(HUB, name)
    elif (folder / "dataset_dict.json").is_file():
        made = from_folder(folder)
    else:
        made = _of_files(declared, folder)
    test = next((part for part in declared.test if part in made), None)
    if test is None or "train" not in made:
        raise BadInput(f"{folder or HUB}: {name} needs the parts train and {declared.test[0]}; it has {sorted(made)}")
    return made["train"], made[test]


def _of_files(declared: GlueSet, folder: Path) -> Any:
    """Files of whichever kind both parts have: train.csv and validation.csv, train.tsv and dev.tsv, …"""
    for kind in READERS:
        there = {
            part: sorted([*folder.glob(f"{part}.{kind}"), *folder.glob(f"{part}-*.{kind}")])
            for part in ("train", *declared.test)
        }
        test = next((part for part in declared.test if there[part]), None)
        if test and there["train"]:
            names = declared.no_header if kind == "tsv" else ()
            return from_files({"train": there["train"], test: there[test]}, names)
    wanted = " or ".join(declared.test)
    raise BadInput(
        f"{folder} has no train.* with a {wanted}.* beside it, as {', '.join(READERS)}, and is no save_to_disk folder"
    )


def _samples(declared: GlueSet, rows: Any, where: str) -> Iterator[tuple[Any, int | float | None]]:
    """Text (or pair) and label of every row; None for a label that is not given."""
    columns = [_column(rows, names, where) for names in declared.columns]
    label = _column(rows, declared.label, where)
    own = getattr(rows.features[label], "names", None)
    # Someone's save_to_disk may number the classes in an order of its own.
    order = own if own is not None and set(own) == set(declared.names) else declared.names
    for *texts, value in zip(*(rows[column] for column in (*columns, label)), strict=True):
        whole = all(text is not None for text in texts)
        number = _label(value, declared, order, where) if whole else None
        yield tuple(map(str, texts)) if len(texts) > 1 else str(texts[0]), number


def _column(rows: Any, names: Sequence[str], where: str) -> str:
    for name in names:
        if name in rows.column_names:
            return name
    raise BadInput(f"{where} has no column {' or '.join(map(repr, names))}; it has {', '.join(rows.column_names)}")


def _label(value: Any, declared: GlueSet, order: Sequence[str], where: str) -> int | float | None:
    """A class index, or a number for a regression; None for no label: nothing, "-" (no majority in MNLI), or -1."""
    if value is None or value in ("", "-"):
        return None
    if value in declared.names:
        return declared.names.index(value)
    try:
        number = float(value)
    except ValueError:
        number = np.inf
    if np.isnan(number) or (number == -1 and declared.names):
        return None
    if not declared.names and np.isfinite(number):
        return number
    if number not in range(len(order)):
        raise BadInput(f"{where} has a label {value!r}; known: {', '.join(declared.names) or 'numbers'}")
    return declared.names.index(order[int(number)])
