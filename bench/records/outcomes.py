"""What became of every sample, as a run's record keeps it: compressed arrays that metrics can be made from again.

A record's `outcomes` has a table for "test" and, of the epoch that was kept, for "val". Samples are known by `ids`,
their places in the whole set as its reader lists it, before any split. These do not depend on the seed, so that
two runs whose records have the same `provenance.data_sha256` pair by id (`shared`). Samples stand in the order of ids.

What is kept is of one of these kinds:

- "classes": `label` and `predicted`, class indices; `nll`, -log p(label), without label smoothing; in newer records
  `confidence`, p(predicted).
- "numbers": `target` and `predicted`.
- "answers", of questions: `exact` and `f1`; `nll`, the mean over the question's windows of which the answer's place is
  known, and `windows`, how many these are.
- "boxes", of pictures: `objects` (n, K) boxes to be found of each class, without crowds; and of every detection, at
  most 100 a picture and class, the highest score first as COCO's evaluation orders them: `picture` (its row), `label`,
  `score`, and for each threshold of IoU .50:.05:.95 (D, 10) whether it is `matched` and whether it is `ignored` (lies
  on a crowd).

Class indices and counts are exact, and so is every score made of them. `nll`, `confidence` and `score` are float16,
rounded by at most 1 in 2,048; what is larger than 65,504, or is no number, is 65,504. `target`, `predicted` and `f1`
are float32.
"""

from __future__ import annotations

import base64
import binascii
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from bench.stats import samples
from bench.stats.average_precision import THRESHOLDS, average_precision

ENCODING = "zlib, base64; little-endian; bool: packed bits; ids: the first, then differences"
LARGEST = float(np.finfo(np.float16).max)
MOST = 10**8
"""Values of one column, at most: more is no record of ours."""
TYPES = ("bool", "uint8", "uint16", "uint32", "float16", "float32")


class Column(NamedTuple):
    """What an array must be: how its type's name begins, and what its axes are of."""

    type: str
    axes: tuple[str, ...] = ("samples",)


FOUND = ("found",)
COLUMNS: Mapping[str, Mapping[str, Column]] = {
    "classes": {"label": Column("uint"), "predicted": Column("uint"), "nll": Column("float16")},
    "numbers": {"target": Column("float32"), "predicted": Column("float32")},
    "answers": {
        **{"exact": Column("bool"), "f1": Column("float32"), "nll": Column("float16")},
        "windows": Column("uint"),
    },
    "boxes": {
        **{"objects": Column("uint", ("samples", "classes")), "picture": Column("uint", FOUND)},
        **{"label": Column("uint", FOUND), "score": Column("float16", FOUND)},
        **dict.fromkeys(("matched", "ignored"), Column("bool", (*FOUND, "thresholds"))),
    },
}
"""By kind."""
OPTIONAL: Mapping[str, Mapping[str, Column]] = {"classes": {"confidence": Column("float16")}}
"""Columns that a kind has in newer records."""


@dataclass(frozen=True, eq=False)
class Outcomes:
    """What became of n samples.

    Args:
        kind: of what: see above.
        ids: (n) int64, ascending.
        columns: by name, as the kind has them.
    """

    kind: str
    ids: np.ndarray
    columns: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, column: str) -> np.ndarray:
        return self.columns[column]

    @property
    def correct(self) -> np.ndarray:
        """(n) whether each sample of a classification is right, bool."""
        right: np.ndarray = self["label"] == self["predicted"]
        return right

    def values(self, metric: str) -> np.ndarray | None:
        """(n) float64, what the metric is the mean of over samples; None where it is no such mean."""
        made: Callable[[], np.ndarray] | None = {
            ("classes", "top1"): lambda: self.correct,
            ("classes", "loss"): lambda: self["nll"],
            ("numbers", "loss"): lambda: (self["predicted"].astype(float) - self["target"]) ** 2,
            ("answers", "exact_match"): lambda: self["exact"],
            ("answers", "f1"): lambda: self["f1"],
        }.get((self.kind, metric))
        return made().astype(np.float64) if made else None

    def score(self, metric: str, rows: np.ndarray | None = None) -> float | None:
        """A metric of the record over some samples; None where it cannot be made of these.

        Args:
            metric: by its name in a record.
            rows: which samples, some of them perhaps several times (a bootstrap's); all where nothing is said.
        """
        rows = np.arange(len(self)) if rows is None else rows
        values = self.values(metric)
        if values is not None:
            return float(values[rows].mean()) if len(rows) else None
        if self.kind == "boxes":
            return self._average_precision(rows).get(metric)
        if (self.kind, metric) == ("answers", "loss"):
            weights = self["windows"][rows].astype(float)
            return float(weights @ self["nll"][rows].astype(float) / max(1.0, weights.sum()))
        known = {"classes": ("label", samples.OF_CLASSES), "numbers": ("target", samples.OF_NUMBERS)}
        truth, made = known.get(self.kind, ("", {}))
        if metric not in made:
            return None
        return made[metric](self[truth][rows], self["predicted"][rows])

    def _average_precision(self, rows: np.ndarray) -> dict[str, float]:
        return average_precision(
            self["objects"], self["picture"], self["label"], self["matched"], self["ignored"],
            times=np.bincount(rows, minlength=len(self)),
        )  # fmt: skip

    def at(self, rows: np.ndarray) -> Outcomes:
        """Some samples of a kind that is no boxes, in the order given."""
        return Outcomes(self.kind, self.ids[rows], {name: column[rows] for name, column in self.columns.items()})


def collected(kind: str, ids: np.ndarray, columns: Mapping[str, np.ndarray]) -> Outcomes:
    """Outcomes in the order of their ids, with `nll` and `score` rounded as they are kept.

    Args:
        kind: see above.
        ids: (n), in any order.
        columns: as the kind has them, in the order of `ids`.
    """
    order = np.argsort(ids, kind="stable")
    if kind == "boxes":
        place = np.argsort(order)
        made = {**columns, "objects": columns["objects"][order], "picture": place[columns["picture"]]}
    else:
        made = {name: np.asarray(column)[order] for name, column in columns.items()}
    asked = _asked(kind, made)
    for name, column in asked.items():
        made[name] = _as_kept(np.asarray(made[name]), column.type)
    return Outcomes(kind, np.asarray(ids, np.int64)[order], {name: made[name] for name in asked})


def _asked(kind: str, there: Mapping[str, Any]) -> dict[str, Column]:
    """The columns of a kind, of the optional ones those that are there."""
    return {**COLUMNS[kind], **{name: column for name, column in OPTIONAL.get(kind, {}).items() if name in there}}


def shared(those: Sequence[Outcomes]) -> list[np.ndarray]:
    """The rows of each in which the samples stand that all of them have, in the same order."""
    common = those[0].ids
    for one in those[1:]:
        common = np.intersect1d(common, one.ids, assume_unique=True)
    return [np.searchsorted(one.ids, common) for one in those]


def of_record(record: Mapping[str, Any], split: str = "test") -> Outcomes | None:
    """What a record keeps of its samples; None where it keeps nothing, as before protocol 2."""
    stored = (record.get("outcomes") or {}).get(split)
    return decode(stored) if stored else None


def encode(found: Outcomes) -> dict[str, Any]:
    """As it stands in a record."""
    differences = np.diff(found.ids, prepend=0)
    columns = {"ids": _as_kept(differences, "uint"), **found.columns}
    return {
        **{"kind": found.kind, "encoding": ENCODING},
        **{name: _packed(column) for name, column in columns.items()},
    }


def decode(stored: Mapping[str, Any]) -> Outcomes:
    """From a record.

    Raises:
        ValueError: it is not what `encode` makes.
    """
    kind = str(stored.get("kind"))
    if kind not in COLUMNS or stored.get("encoding") != ENCODING:
        raise ValueError("is of an unknown kind or encoding")
    differences = _unpacked(stored, "ids")
    if differences.dtype.kind != "u":
        raise ValueError("has ids that are not whole numbers")
    ids = np.cumsum(differences.astype(np.int64))
    columns = {name: _unpacked(stored, name) for name in _asked(kind, stored)}
    found = Outcomes(kind, ids, columns)
    _check(found)
    return found


def _as_kept(column: np.ndarray, kept: str) -> np.ndarray:
    if kept == "uint":
        return column.astype(np.min_scalar_type(int(column.max(initial=0))))
    if kept == "float16":
        column = np.nan_to_num(column.astype(np.float64), nan=LARGEST, posinf=LARGEST, neginf=-LARGEST)
        return np.clip(column, -LARGEST, LARGEST).astype(np.float16)
    return column.astype(kept)


def _packed(column: np.ndarray) -> dict[str, Any]:
    flat = np.packbits(column) if column.dtype == bool else column.astype(column.dtype.newbyteorder("<"))
    data = base64.b64encode(zlib.compress(flat.tobytes(), 9)).decode()
    return {"type": column.dtype.name, "shape": list(column.shape), "data": data}


def _unpacked(stored: Mapping[str, Any], name: str) -> np.ndarray:
    column = stored.get(name)
    if not isinstance(column, Mapping) or column.get("type") not in TYPES:
        raise ValueError(f"has no column {name!r}")
    shape, data, kept = column.get("shape"), column.get("data"), column["type"]
    whole = isinstance(shape, list) and 0 < len(shape) < 3 and all(type(n) is int and 0 <= n <= MOST for n in shape)
    if not whole or not isinstance(data, str) or math.prod(shape or ()) > MOST:
        raise ValueError(f"has a column {name!r} without shape or data")
    number = math.prod(shape or ())
    size = -(-number // 8) if kept == "bool" else number * np.dtype(kept).itemsize
    unpack = zlib.decompressobj()
    try:
        content = unpack.decompress(base64.b64decode(data, validate=True), size + 1)
    except (binascii.Error, ValueError, zlib.error):
        raise ValueError(f"has a column {name!r} that is damaged") from None
    if len(content) != size or not unpack.eof:
        raise ValueError(f"has a column {name!r} of another length than its shape")
    if kept == "bool":
        return np.unpackbits(np.frombuffer(content, np.uint8), count=number).astype(bool).reshape(shape)
    return np.frombuffer(content, np.dtype(kept).newbyteorder("<")).astype(kept).reshape(shape)


def _check(found: Outcomes) -> None:
    """Refuses columns that do not belong together.

    Raises:
        ValueError: they do not.
    """
    n, columns, boxes = len(found.ids), found.columns, found.kind == "boxes"
    if found.ids.ndim != 1 or (np.diff(found.ids) <= 0).any():
        raise ValueError("has ids that are not ascending")
    sizes = {"samples": n, "thresholds": len(THRESHOLDS)}
    if boxes:
        sizes |= {"found": len(columns["score"]), "classes": columns["objects"].shape[-1]}
    for name, asked in _asked(found.kind, columns).items():
        column = columns[name]
        if column.shape != tuple(sizes[axis] for axis in asked.axes) or not column.dtype.name.startswith(asked.type):
            raise ValueError(f"has a column {name!r} of another type or shape")
        if column.dtype.kind == "f" and not np.isfinite(column).all():
            raise ValueError(f"has a column {name!r} that is not finite")
    if boxes and len(columns["picture"]):
        beyond = columns["picture"].max() >= n or columns["label"].max() >= sizes["classes"]
        if beyond or (np.diff(columns["score"].astype(float)) > 0).any():
            raise ValueError("has detections out of order, or of no picture or class")
