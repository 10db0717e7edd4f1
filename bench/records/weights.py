"""Kept weights: one safetensors file a run, with all that is needed to use it again. Nothing in it is ever executed.

The layout is that of safetensors: eight bytes with the length of the header, the header as JSON, the tensors' bytes.
A digest over tensors and metadata tells a file that was changed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import BadInput, shown

FORMAT = "1"
"""Of the metadata; another one is refused."""
LONGEST = 100 << 20
"""Bytes of a header: safetensors reads no longer one."""
META, DIGEST = "__metadata__", "sha256"
NEEDED = (
    *("format", "run_id", "study", "scale", "task", "model", "method", "training", "seed", "classes", "preprocessing"),
    *("backbone", "metrics"),
)
ADVICE = "make it again with `bench keep`"


@dataclass(frozen=True)
class Kept:
    """What stands in a file of kept weights beside its tensors.

    Args:
        path: the file.
        about: run id, specifications, class names, preprocessing, backbone, metrics, … (`NEEDED`).
        tensors: shape of each, by its name in the network's `state_dict`.
    """

    path: Path
    about: Mapping[str, Any]
    tensors: Mapping[str, tuple[int, ...]]


def sealed(packed: bytes, about: Mapping[str, Any]) -> bytes:
    """A safetensors file with more metadata, and the digest of all of it.

    Args:
        packed: a whole file; what its metadata have already stays.
        about: plain data; each value is written as JSON.
    """
    header, body = _parts(packed)
    own = header.pop(META, {}) | {key: json.dumps(value, sort_keys=True) for key, value in about.items()}
    own = {"format": json.dumps(FORMAT), **own}
    own[DIGEST] = _digest(own, header, body)
    text = json.dumps({META: own, **header}, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of eight
    return len(text).to_bytes(8, "little") + text + body


def read(path: Path) -> Kept:
    """The metadata of a file of kept weights, once its digest is found right.

    Raises:
        BadInput: it is none, was changed or cut off, or is of another version.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadInput(f"cannot read {shown(str(path))} ({error.strerror}): name a file of kept weights") from None
    try:
        header, body = _parts(content)
        own = dict(header.pop(META, {}))
        said, entries = own.pop(DIGEST, ""), {name: _shape(entry) for name, entry in header.items()}
        about = {key: json.loads(value) for key, value in own.items()} if said else {}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise BadInput(f"{shown(str(path))} is no file of kept weights (safetensors), or not whole: {ADVICE}") from None
    if not said:
        raise BadInput(f"{shown(str(path))} holds tensors, but not what `bench run` writes beside them: {ADVICE}")
    if about.get("format") != FORMAT:
        told = shown(about.get("format"), 40)
        raise BadInput(f"{shown(str(path))} is of version {told} of kept weights, this is version {FORMAT}: {ADVICE}")
    if said != _digest(own, header, body) or any(key not in about for key in NEEDED):
        raise BadInput(f"{shown(str(path))} was changed or damaged since it was written: {ADVICE}")
    return Kept(path, about, entries)


def _parts(content: bytes) -> tuple[dict[str, Any], memoryview]:
    """Header and tensors' bytes. Raises ValueError where it is no safetensors file."""
    length = int.from_bytes(content[:8], "little")
    if not 2 <= length <= min(LONGEST, len(content) - 8):
        raise ValueError("no safetensors file")
    header = json.loads(content[8 : 8 + length])
    if not isinstance(header, dict):
        raise ValueError("no safetensors file")
    return header, memoryview(content)[8 + length :]


def _shape(entry: Mapping[str, Any]) -> tuple[int, ...]:
    return tuple(int(side) for side in entry["shape"])


def _digest(about: Mapping[str, str], entries: Mapping[str, Any], body: memoryview) -> str:
    found = hashlib.sha256(json.dumps([dict(about), dict(entries)], sort_keys=True).encode())
    found.update(body)
    return found.hexdigest()


def find(results: Path, run: str) -> tuple[Path, str]:
    """The folder of a run's study and scale, and its whole id.

    Args:
        results: folder of all studies.
        run: its id or the beginning of it (four digits at least), or the path of its record or kept weights.

    Raises:
        BadInput: no such run, or several.
    """
    path = Path(run)
    if path.suffix in (".json", ".safetensors") and path.is_file():
        return path.absolute().parent.parent, path.stem
    if not re.fullmatch(r"[0-9a-f]{4,16}", run):
        raise BadInput(
            f"run {shown(run)!r}: give a run's id (the name of a file in results/<study>/<scale>/runs/, or its first "
            "digits), or the path of a file with kept weights"
        )
    every = [*results.glob(f"*/*/runs/{run}*.json"), *results.glob(f"*/*/weights/{run}*.safetensors")]
    found = sorted({(each.parent.parent, each.stem) for each in every if re.fullmatch("[0-9a-f]{16}", each.stem)})
    if not found:
        raise BadInput(f"no run {run!r} under {shown(str(results))!r}: --results names the folder of the records")
    if len(found) > 1:
        named = ", ".join(f"{folder.parent.name}/{folder.name}/{run_id}" for folder, run_id in found[:4])
        raise BadInput(f"run {run!r} stands for {len(found)} runs: {named}; give more digits, or the file's path")
    return found[0]


def file_of(folder: Path, run_id: str) -> Path:
    """Where the weights of a run are kept.

    Args:
        folder: results/<study>/<scale>.
        run_id: of the run.
    """
    return folder / "weights" / f"{run_id}.safetensors"
