"""Predictions as they are printed and written, one after the other, with a bar."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from bench.deploy.loading import Trained
from bench.deploy.pictures import coco, drawn
from bench.deploy.prediction import Predicted, Stream, flat
from bench.errors import BadInput, unknown
from bench.records import write_atomically

TABLES = (".csv", ".jsonl", ".parquet")
WIDTH = 48
"""Characters of a sample's name in a printed table."""


@dataclass
class Output:
    """Where predictions go.

    Args:
        trained: who predicts.
        json: whether lines of JSON are printed, rather than a table.
        out: a table; what is printed otherwise is left out then.
        draw: folder for pictures with their boxes.
        coco: file for all boxes.
    """

    trained: Trained
    json: bool = False
    out: Path | None = None
    draw: Path | None = None
    coco: Path | None = None
    rows: list[dict[str, Any]] = field(default_factory=list)
    found: list[Predicted] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.out is not None and self.out.suffix.lower() not in TABLES:
            raise unknown("kind of table", self.out.suffix or self.out.name, TABLES)
        if (self.draw or self.coco) and self.trained.family != "detection":
            raise BadInput(f"run {self.trained.about['run_id']} finds no boxes: leave --draw and --coco out")

    def write(self, stream: Stream) -> int:
        """Prints and writes what comes. Returns how many samples could be read."""
        count = 0
        shown = sys.stderr.isatty() and not sys.stdout.isatty()  # a bar amid printed lines helps nobody
        for each in tqdm(stream, total=len(stream.samples), unit="sample", delay=1, disable=not (shown or self.out)):
            count += 1
            self.one(each)
        if self.out is not None:
            self.table(self.out)
        if self.coco is not None:
            write_atomically(self.coco, json.dumps(coco(self.found, self.trained.classes), indent=1))
            print(f"{self.coco}: boxes of {len(self.found)} pictures", file=sys.stderr)
        return count

    def one(self, each: Predicted) -> None:
        """What is done with one sample's."""
        if self.draw is not None:
            drawn(each, self.trained.classes, self.draw)
        if self.coco is not None:
            self.found.append(each)
        if self.out is not None:
            self.rows += flat(each)
        elif self.json:
            print(json.dumps(each.row(), ensure_ascii=False))
        else:
            print(line(each))

    def table(self, path: Path) -> None:
        """Writes all rows."""
        import pandas as pd

        frame, ending = pd.DataFrame(self.rows), path.suffix.lower()
        if ending == ".jsonl":
            lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in self.rows)
            write_atomically(path, lines)
        else:
            write_atomically(path, frame.to_csv(index=False) if ending == ".csv" else frame.to_parquet())
        print(f"{path}: {len(frame)} rows", file=sys.stderr)


def line(each: Predicted) -> str:
    """A sample's prediction for a person."""
    title = each.sample.title
    name = f"{title if len(title) <= WIDTH else '…' + title[1 - WIDTH :]:{WIDTH}}"
    if each.value is not None:
        return f"{name}  {each.value:.4g}"
    if each.classes:
        return f"{name}  " + "  ".join(f"{known} {p:.3f}" for known, p in each.classes)
    boxes = (f"{known} {s:.2f} ({x1:.0f}, {y1:.0f}, {x2:.0f}, {y2:.0f})" for known, s, x1, y1, x2, y2 in each.boxes)
    return f"{name}  " + ("  ".join(boxes) or "nothing found")
