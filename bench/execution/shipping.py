"""What a run needs beside code, on another machine: study files, assets, one's own data; and whether all is the same.

Whoever holds the executor says what there is (`Needs`). A machine that sees the same folders is sent nothing; to any
other each thing goes once, and what arrives is held against its hash.
"""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import secrets
import shutil
import tarfile
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from bench.assets import asked, cache_folder, fetch, status
from bench.errors import BadInput
from bench.execution.processes import study_files
from bench.models import HuggingFace
from bench.records import PROTOCOL
from bench.records.environment import source, versions
from bench.study import Study
from bench.study.plugins import again
from bench.training.run import Run

SENT = "sent"
"""Folder in the cache for one's own data, each under its hash."""


@dataclass(frozen=True)
class Needs:
    """What must be on a machine before it trains.

    Args:
        studies: by the name of its module, a study's file; and the text of every Python file beside it.
        assets: names of the assets that tasks and models have asked for.
        paths: one's own files and folders, as tasks and models name them.
        hashes: packed task, model and output of each pair, with the hashes of data and weights here.
        versions: of the packages that a result depends on.
        protocol, source: of the code.
        cache: the cache folder here, and the name of a file in it by which it is known again.
    """

    studies: dict[str, tuple[str, dict[str, str]]]
    assets: tuple[str, ...]
    paths: tuple[str, ...]
    hashes: tuple[tuple[bytes, str, str | None], ...]
    versions: dict[str, str]
    protocol: int
    source: str
    cache: tuple[str, str]


def needs(parts: Sequence[Study]) -> Needs:
    """What the parts of a study need; all of it has been fetched here."""
    pairs = {(task, model): None for part in parts for task in part.tasks for model in part.models}
    old = [part.retained for part in parts if part.retained]
    studies = {}
    for name, file in study_files().items():
        beside = {path.name: path.read_text(encoding="utf-8") for path in sorted(Path(file).parent.glob("*.py"))}
        studies[name] = Path(file).name, beside
    named = [each for pair in pairs for each in pair] + old
    mark = f".seen.{secrets.token_hex(4)}"
    with suppress(OSError):
        cache_folder().mkdir(parents=True, exist_ok=True)
        (cache_folder() / mark).touch()
    return Needs(
        studies,
        asked(),
        tuple(dict.fromkeys(path for part in named for path in own_paths(part))),
        tuple((pickle.dumps(pair), pair[0].fingerprint(), weights_hash(pair[1])) for pair in pairs),
        {name: public(version) for name, version in versions()},
        PROTOCOL,
        source(),
        (str(cache_folder()), mark),
    )


def forget(needed: Needs) -> None:
    """Takes the mark in the cache folder away."""
    folder, mark = needed.cache
    (Path(folder) / mark).unlink(missing_ok=True)


def weights_hash(model: Any) -> str | None:
    """Of a model's weights, as far as they are here."""
    found: str | None = model.fingerprint() or model.cached()
    return found


def public(version: str) -> str:
    """A version without what tells a build for CPUs from one for GPUs."""
    return version.partition("+")[0]


def own_paths(part: Any) -> list[str]:
    """One's own files and folders that a task or a model names."""
    local = ("path", "root", "name") if isinstance(part, HuggingFace) else ("path", "root")
    named = [getattr(part, f.name) for f in fields(part) if f.name in local] if is_dataclass(part) else []
    return [value for value in named if isinstance(value, str) and value and Path(value).expanduser().exists()]


def packed(what: str) -> bytes:
    """An asset ("asset:NAME") or one's own path as a tar archive, without times and owners."""
    root = fetch(what.removeprefix("asset:")) if what.startswith("asset:") else Path(what).expanduser().absolute()
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for path in [root] if root.is_file() else sorted(each for each in root.rglob("*") if each.is_file()):
            entry = tarfile.TarInfo(str(Path(root.name) / path.relative_to(root)))
            entry.size = path.stat().st_size
            with path.open("rb") as stream:
                archive.addfile(entry, stream)
    return content.getvalue()


@dataclass
class Here:
    """What a machine has of what is needed.

    Args:
        needed: what must be here.
        moved: where one's own paths lie here, where that is elsewhere.
    """

    needed: Needs
    moved: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        folder, mark = self.needed.cache
        if (Path(folder) / mark).exists():
            os.environ["LORA_BENCH_CACHE"] = folder  # one folder for all machines
        for name, (file, beside) in self.needed.studies.items():  # plug-ins first, as there
            place = Path(tempfile.mkdtemp(prefix="lora-bench-")) / "studies"
            place.mkdir()
            for other, text in beside.items():
                (place / other).write_text(text, encoding="utf-8")
            again(name, place / file)

    def differs(self) -> str | None:
        """Which code differs from that of who asks; None where none does."""
        if (self.needed.protocol, self.needed.source) != (PROTOCOL, source()):
            return "another version of lora-bench"
        here = {name: public(version) for name, version in versions()}
        return next(
            (
                f"{name} {here.get(name, 'missing')}, where the study has {version}"
                for name, version in self.needed.versions.items()
                if name != "lora-bench" and here.get(name) != version
            ),
            None,
        )

    def lacks(self) -> list[str]:
        """What must be sent: assets and paths that are not here."""
        assets = [f"asset:{name}" for name in self.needed.assets if not status(name).cached]
        paths = [p for p in self.needed.paths if p not in self.moved and not Path(p).expanduser().exists()]
        return assets + paths

    def receive(self, what: str, content: bytes, sha256: str) -> None:
        """Puts what was sent into the cache, once for all workers of the machine.

        Raises:
            BadInput: it is not what was sent.
        """
        if hashlib.sha256(content).hexdigest() != sha256:
            raise BadInput(f"{what} has not arrived whole")
        asset = what.startswith("asset:")
        place = cache_folder() / ("assets" if asset else f"{SENT}/{sha256[:16]}")
        name = what.removeprefix("asset:") if asset else Path(what).expanduser().absolute().name
        place.mkdir(parents=True, exist_ok=True)
        with FileLock(place / f".{name}.lock"):
            if not (status(name).cached if asset else (place / name).exists()):
                with tempfile.TemporaryDirectory(dir=place) as fresh:
                    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
                        archive.extractall(fresh, filter="data")
                    shutil.rmtree(place / name, ignore_errors=True)
                    os.replace(Path(fresh) / name, place / name)
        if asset:
            fetch(name)  # which hashes it
        else:
            self.moved[what] = str(place / name)

    def wrong(self) -> str | None:
        """Which data or weights are not what they are where the study is; None where all are."""
        for pair, data, weights in self.needed.hashes:
            try:
                task, model = (self.local(part) for part in pickle.loads(pair))
                if task.fingerprint() != data:
                    return f"other data of {task.name}"
                if weights_hash(model) != weights:
                    model.build(output=task.output)  # which fetches them
                if weights_hash(model) != weights:
                    return f"other weights of {model.name}"
            except (BadInput, ImportError, AttributeError, OSError) as error:
                return " ".join(str(error).split()) or type(error).__name__
        return None

    def local(self, part: Any) -> Any:
        """A task or a model with its paths as they are here."""
        there = {f.name: self.moved.get(str(getattr(part, f.name))) for f in fields(part)} if self.moved else {}
        return replace(part, **{name: path for name, path in there.items() if path})

    def run(self, run: Run) -> Run:
        """A run with its paths as they are here."""
        if not self.moved:
            return run
        old = self.local(run.retained) if run.retained else None
        return replace(run, task=self.local(run.task), model=self.local(run.model), retained=old)
