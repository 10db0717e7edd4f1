"""Which trained weights are kept, within how much of the disk."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bench.costs.units import readable, size
from bench.errors import BadInput, unknown
from bench.records import Records
from bench.records.environment import versions
from bench.records.weights import file_of, sealed
from bench.study.recording import Record

WAYS = ("best", "all", "none")
LIMIT = "4GiB"
"""Disk that kept weights of a study at a scale may take, unless said otherwise."""
SPARE = 64 << 20
"""Bytes that are left free on the disk for records."""


@dataclass
class Keeping:
    """Keeps weights beside the records, as far as a budget goes.

    Args:
        folder: results/<study>/<scale>; they go into its `weights`.
        which: "best": of each configuration's seed that is best on validation; "all": of every final run; "none".
        limit: bytes that they may take together.
        said: hears of what is not kept, once.
    """

    folder: Path
    which: str = "best"
    limit: int = size(LIMIT)
    said: Callable[[str], None] = lambda line: None

    def __post_init__(self) -> None:
        if self.which not in WAYS:
            raise unknown("way to keep weights", self.which, WAYS)
        self.full = False

    @classmethod
    def asked(cls, folder: Path, which: str, limit: str = LIMIT) -> Keeping:
        """As a person says it: "best", "4GiB".

        Raises:
            BadInput: no such way, or no such size.
        """
        return cls(folder, which, size(limit))

    def wants(self, phase: str) -> bool:
        """Whether a run of a phase shall hand out its weights."""
        return self.which != "none" and phase == "final" and not self.full

    def took(self, record: Record, packed: bytes, others: Collection[Record]) -> Path | None:
        """Keeps a run's weights, if they are wanted, and drops what they replace.

        Args:
            record: of the run, written already.
            packed: its weights (`bench.training.keeping.packed`); empty where there are none.
            others: records of the same configuration's other final runs.

        Returns:
            The file; None where nothing is kept, which is said unless a better seed's weights are there.
        """
        there = [each for each in others if file_of(self.folder, each["run_id"]).is_file()]
        if not packed or (self.which == "best" and any(rank(each) >= rank(record) for each in there)):
            return None
        replaced = [file_of(self.folder, each["run_id"]) for each in there] if self.which == "best" else []
        kept = self.write(record, packed, replaced)
        for path in replaced if kept else ():
            with suppress(OSError):
                path.unlink()
        return kept

    def write(self, record: Record, packed: bytes, replaced: Collection[Path] = ()) -> Path | None:
        """Writes a run's weights, whole or not at all; None, with a line, where they do not fit.

        Args:
            record: of the run.
            packed: its weights.
            replaced: files that go once these are there.
        """
        path, content = file_of(self.folder, record["run_id"]), sealed(packed, about(record))
        going = {*replaced, path}
        taken = sum(there for each, there in sizes(self.folder).items() if each not in going)
        if taken + len(content) > self.limit:
            return self._stop(
                f"{readable(len(content))} more than the {readable(self.limit)} that weights may take are not written "
                f"({readable(taken)} are there); --keep-limit moves it"
            )
        place = next(each for each in (path.parent, *path.parents) if each.is_dir())
        if shutil.disk_usage(place).free < len(content) + SPARE:
            return self._stop(f"the disk has no {readable(len(content))} to spare; make room")
        try:
            return Records(self.folder).keep_weights(record["run_id"], content)
        except BadInput as error:
            return self._stop(str(error))

    def _stop(self, why: str) -> Path | None:
        """Says that weights are not kept from here on; the study goes on without."""
        if not self.full:
            self.said(f"weights are not kept from here on: {why}. The records are whole; `bench keep RUN` keeps later")
        self.full = True
        return None


def rank(record: Record) -> tuple[float, float]:
    """How good a run is on validation: its headline metric, and of equals the lower loss."""
    scores: Mapping[str, float | None] = record["metrics"].get("val") or {}
    score, loss = scores.get(record["task"].get("metric", "")), scores.get("loss")
    return (-math.inf if score is None else score, -math.inf if loss is None else -loss)


def sizes(folder: Path) -> dict[Path, int]:
    """Bytes of every file of kept weights of a study at a scale."""
    return {path: path.stat().st_size for path in sorted((folder / "weights").glob("*.safetensors"))}


def about(record: Record) -> Record:
    """What a file of weights says of its run."""
    known = record.get("provenance") or {}
    return {
        **{key: record[key] for key in ("run_id", "protocol", "study", "scale", "seed", "training", "metrics")},
        **{part: record[part]["spec"] for part in ("task", "model", "method")},
        "name": record["task"]["name"],
        "family": record["task"].get("family", ""),
        "metric": record["task"].get("metric", ""),
        "data_sha256": known.get("data_sha256"),
        "versions": dict(versions()),
    }
