"""Records, the only truth: one JSON file a run, whole or not there."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import re
import secrets
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import BadInput, scrubbed, shown
from bench.records.protocol import PROTOCOL
from bench.records.schema import LARGEST, RUN_ID, problem

JOURNAL = "optuna.journal"
"""Optuna's storage where nobody names another: a file beside the records, from which it can be made again."""

_QUOTES = ("reason", "retained_failed")
"""Fields that quote an exception, and with it perhaps a password."""
_SAID: set[Path] = set()
_log = logging.getLogger(__name__)


def run_id(spec: Mapping[str, object]) -> str:
    """The name of a run: 16 hex digits of the sha256 of everything that determines its result.

    Args:
        spec: JSON values only (tuples count as lists); the protocol's number is added, where it has none. The order
            of keys does not matter, every value does.

    Returns:
        Sixteen hexadecimal digits.
    """
    text = json.dumps({"protocol": PROTOCOL, **spec}, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def at_scale(results: Path, scale: str, *, what: str = "runs") -> dict[str, Path]:
    """The folders of a scale, by study, that have `what` in them: records, unless said.

    Raises:
        BadInput: the scale is no name, or the folder cannot be read.
    """
    if not re.fullmatch(r"\w[\w.-]{0,99}", scale):
        raise BadInput(f"scale {shown(scale)!r}: name one: smoke, laptop, overnight or full")
    try:
        return {found.parent.parent.name: found.parent for found in sorted(Path(results).glob(f"*/{scale}/{what}"))}
    except OSError as error:
        raise BadInput(f"cannot read {shown(str(results))} ({error.strerror}): name the results folder") from None


def write_atomically(path: Path, content: str | bytes) -> Path:
    """Put `content` at `path` so that a reader, or a kill at any moment, finds the old file or the new one.

    Raises:
        BadInput: the folder cannot be made or written, or the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "xb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise BadInput(f"cannot write {path} ({error.strerror}): make it writable or choose another folder") from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    with suppress(OSError):  # some file systems refuse to sync a folder; the file itself is already safe
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    return path


@dataclass(frozen=True)
class Records:
    """The records of one study at one scale.

    Args:
        folder: results/<study>/<scale>; the records stand in its `runs`, the pictures they name in `pictures`.
    """

    folder: Path

    @property
    def runs(self) -> Path:
        """The folder with one `<run_id>.json` a run."""
        return Path(self.folder) / "runs"

    @property
    def pictures(self) -> Path:
        """The folder with the pictures that records show examples on."""
        return Path(self.folder) / "pictures"

    @property
    def retired(self) -> Path:
        """Where records lie that a changed study has outdated."""
        return self.folder / "retired"

    def prepare(self) -> None:
        """Make the folder and prove, by writing a file into it, that records can be kept there.

        Raises:
            BadInput: it cannot be made or written.
        """
        probe = self.runs / f".probe.{os.getpid()}.{secrets.token_hex(4)}.tmp"
        try:
            self.runs.mkdir(parents=True, exist_ok=True)
            probe.write_text("probe")
            probe.unlink()
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise BadInput(
                f"cannot write to the results folder {self.runs} ({reason}): choose a writable one"
            ) from None

    def write(self, record: Mapping[str, Any]) -> Path:
        """Keep one finished run; numbers that are not finite (a diverged loss) become null.

        Raises:
            ValueError: the record breaks the schema, so that `read` would refuse it.
            BadInput: the folder cannot be written.
        """
        text = json.dumps(_finite(record), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        if wrong := problem(json.loads(text)):
            raise ValueError(f"record {record.get('run_id')!r}: {wrong}")
        return write_atomically(self.runs / f"{record['run_id']}.json", text)

    def keep_weights(self, run_id: str, content: bytes) -> Path:
        """Keep a run's weights (`bench.records.weights.sealed`), in `weights/`, which is not committed.

        Raises:
            BadInput: the folder cannot be written, or the disk is full.
        """
        return write_atomically(self.folder / "weights" / f"{run_id}.safetensors", content)

    def keep_picture(self, content: bytes) -> str:
        """Keep a JPEG that records show examples on, once, under a name made of its content, which is returned.

        Raises:
            BadInput: the folder cannot be written.
        """
        path = self.pictures / f"{hashlib.sha256(content).hexdigest()[:16]}.jpg"
        if not path.is_file():
            write_atomically(path, content)
        return path.name

    def retire(self, run_ids: Iterable[str]) -> None:
        """Moves records that a changed study has outdated to `retired/`, out of tables and figures but not lost.

        Their weights, where they were kept, go with them.
        """
        for run_id in run_ids:
            self.retired.mkdir(exist_ok=True)
            taken = len(list(self.retired.glob(f"{run_id}*.json")))
            name = f"{run_id}{f'.{taken}' * bool(taken)}"
            os.replace(self.runs / f"{run_id}.json", self.retired / f"{name}.json")
            with suppress(FileNotFoundError):
                os.replace(self.folder / "weights" / f"{run_id}.safetensors", self.retired / f"{name}.safetensors")

    def read(self, run_id: str) -> dict[str, Any] | None:
        """The record of a run, or None; one that is not whole is set aside with a warning, and None."""
        return self._load(self.runs / f"{run_id}.json")

    def all(self) -> list[dict[str, Any]]:
        """Every whole record, in the order of file names; what is not whole is set aside with a warning.

        Other tools' files, which have no run's name, are left alone.
        """
        paths = (path for path in sorted(self.runs.glob("*.json")) if path.name[0] != ".")
        loaded = (self._load(path) for path in paths if not _foreign(path))
        return [record for record in loaded if record is not None]

    def _load(self, path: Path) -> dict[str, Any] | None:
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise BadInput(f"cannot read {path} ({error.strerror}): repair or remove it") from None
        try:
            record: dict[str, Any] = json.loads(content.decode())
            wrong = problem(record)
        except (ValueError, RecursionError):
            wrong = "not whole JSON"
        if not wrong and record["run_id"] != path.stem:
            wrong = f"its run_id is {record['run_id']}"
        if wrong:
            _set_aside(path, wrong)
            return None
        return record


def _set_aside(path: Path, problem: str) -> None:
    """Rename a record that is not whole, so that its run is done again and nothing is lost."""
    problem = shown(problem, 200)
    target = path.with_name(path.name + ".corrupt")
    count = 0
    while target.exists():
        count += 1
        target = path.with_name(f"{path.name}.corrupt.{count}")
    try:
        os.rename(path, target)
        _log.warning("record %s is unusable (%s): set aside as %s", path, problem, target.name)
    except FileNotFoundError:
        pass  # another process set it aside first
    except OSError as error:
        _log.warning("record %s is unusable (%s) and stays there (%s): skipped", path, problem, error.strerror)


def _foreign(path: Path) -> bool:
    """Whether a file is none of ours, by its name: it is left alone, and said once."""
    if RUN_ID.fullmatch(path.stem):
        return False
    if path not in _SAID:
        _SAID.add(path)
        _log.warning("%s is no record, by its name: left alone", path)
    return True


def _finite(value: Any) -> Any:
    """`value` for JSON: what is no number, or too large for any use, becomes None, a tuple a list.

    A reason is kept without secrets.
    """
    if isinstance(value, float):
        return value if math.isfinite(value) and abs(value) <= LARGEST else None
    if isinstance(value, Mapping):
        return {
            str(key): scrubbed(inner) if key in _QUOTES and isinstance(inner, str) else _finite(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return value
