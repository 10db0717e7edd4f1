"""`make gpu-check`: everything that only a GPU can tell, within eight minutes, into one folder and one archive.

Needs neither network nor MLflow nor Optuna; torch ≥ 2.11. Each part is a process of its own with a share of the time
that is left: what one does not need, the later ones have. One that fails or takes too long is logged, and the next
begins. `--device cpu` is a rehearsal with small shapes, which has more time, as it may run on a busy laptop.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from bench.records.environment import commit
from bench.training.device import choose_device, environment
from tests.benchmarks.gpu import summary
from tests.benchmarks.gpu.cells import cells

ROOT = Path(__file__).parents[3]
SHARES = {"memory": 0.5, "steps": 0.15, "study": 0.2, "tests": 0.15}
"""Of the time, for each part, in their order."""
MINUTES = {"cuda": 7.5, "cpu": 30.0}
"""For the whole, by type of device: on an idle machine a rehearsal takes three."""
AGAIN = 5
"""How often measuring goes on after a cell that took its process down."""


@dataclass
class Check:
    """One round of all parts.

    Args:
        folder: where all is written.
        device: torch device.
        seconds: for the whole.
    """

    folder: Path
    device: str
    seconds: float
    parts: list[dict[str, Any]] = field(default_factory=list)

    @property
    def wanted(self) -> int:
        """How many cells there are to measure."""
        return len(cells(rehearsal="--rehearsal" in self.options))

    @property
    def options(self) -> list[str]:
        """What each part is told."""
        return ["--device", self.device, *([] if self.device.startswith("cuda") else ["--rehearsal"])]

    def __post_init__(self) -> None:
        self.end = time.monotonic() + self.seconds

    def share(self, name: str) -> float:
        """Seconds that a part may take, of those left to it and what comes behind it."""
        behind = list(SHARES)[list(SHARES).index(name) :]
        return (self.end - time.monotonic()) * SHARES[name] / sum(SHARES[each] for each in behind)

    def __call__(self) -> bool:
        """Runs all parts and packs what they wrote. Returns whether each ended well."""
        self.memory()
        steps = ["-m", "tests.benchmarks.gpu.steps", self.folder / "steps.csv", *self.options]
        self.part("steps", [*steps, "--seconds", 0.6 * self.share("steps")])
        self.part("study", ["-m", "tests.benchmarks.gpu.small_study", self.folder / "results", *self.options])
        self.part("tests", ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "gpu", *_marked()])
        self.write()
        return all(part["ended"] == "well" for part in self.parts)

    def memory(self) -> None:
        """Estimates on the CPU, without the GPU in sight, while measuring goes on beside them."""
        share = self.share("memory")
        module = ["-m", "tests.benchmarks.gpu.memory"]
        rehearsal = [option for option in self.options if option == "--rehearsal"]
        estimating = self.started(
            "estimates",
            [*module, "estimate", self.folder / "estimated.jsonl", "--seconds", str(share), *rehearsal],
            CUDA_VISIBLE_DEVICES="",
        )
        end = time.monotonic() + share
        for _ in range(AGAIN):
            left = max(1.0, end - time.monotonic())
            command = [*module, "measure", self.folder / "measured.jsonl", "--seconds", str(left), *self.options]
            if self.part("memory", command, seconds=left + 30)["ended"] == "well":
                break
        self.ended("estimates", estimating, seconds=max(5.0, end + 30 - time.monotonic()))

    def part(self, name: str, command: Sequence[Any], *, seconds: float | None = None) -> dict[str, Any]:
        """Runs a part to its end, or to the end of its time. What it says goes to a log, and here at the end."""
        return self.ended(name, self.started(name, command), seconds=seconds or self.share(name))

    def started(self, name: str, command: Sequence[Any], **more: str) -> tuple[subprocess.Popen[bytes], float]:
        """The process of a part, and when it began."""
        print(f"{name} …", flush=True)
        # One thread a process where several are busy: estimates beside measuring, two workers of a study.
        found = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        here = os.environ | {"PYTHONPATH": found, "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"} | more
        with (self.folder / f"{name}.log").open("ab") as log:
            words = [sys.executable, *map(str, command)]
            process = subprocess.Popen(words, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, env=here)
        return process, time.monotonic()

    def ended(self, name: str, part: tuple[subprocess.Popen[bytes], float], *, seconds: float) -> dict[str, Any]:
        """How a part ended: "well", "with code 1", or "stopped after 60 s"."""
        process, began = part
        try:
            code = process.wait(timeout=seconds)
            how = "well" if code == 0 else f"with code {code}"
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            how = f"stopped after {seconds:.0f} s"
        taken = time.monotonic() - began
        self.parts.append({"name": name, "ended": how, "seconds": taken})
        print(f"{name}: ended {how}, {taken:.0f} s", flush=True)
        if how != "well":
            print("\n".join((self.folder / f"{name}.log").read_text(errors="replace").splitlines()[-15:]), flush=True)
        return self.parts[-1]

    def write(self) -> None:
        """The table, the page, what is known of the machine, and the archive."""
        about = environment(self.device) | {"started": datetime.now(UTC).isoformat(), **commit()}
        about |= {"system": platform.platform(), "torch": torch.__version__, "cuda": torch.version.cuda}
        (self.folder / "about.json").write_text(json.dumps({"machine": about, "parts": self.parts}, indent=1))
        summary.table(self.folder).to_csv(self.folder / "memory.csv", index=False)
        shown = {key: about[key] for key in ("device_name", "torch", "cuda", "started")}
        (self.folder / "README.md").write_text(summary.page(self.folder, self.parts, shown, wanted=self.wanted))
        with tarfile.open(self.folder.with_suffix(".tar.gz"), "w:gz") as archive:
            archive.add(self.folder, arcname=self.folder.name)


def _marked() -> list[Path]:
    """Files with tests marked gpu: others need not even be importable there."""
    return [path for path in sorted((ROOT / "tests").rglob("test_*.py")) if "mark.gpu" in path.read_text()]


def main(
    device: Annotated[str, typer.Option(help="cuda, or cpu for a rehearsal with small shapes.")] = "cuda",
    out: Annotated[Path, typer.Option(help="Folder that is written anew; beside it, FOLDER.tar.gz.")] = Path(
        "build/gpu-check"
    ),
    minutes: Annotated[
        float | None, typer.Option(help="For the whole; what is not reached is said. [7.5; 30 of a rehearsal]")
    ] = None,
) -> None:
    """Measure on a GPU what is only estimated elsewhere: memory, steps, two runs at once; run the tests marked gpu."""
    choose_device(device)
    out = out.resolve()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    start = time.monotonic()
    well = Check(out, device, 60 * (minutes or MINUTES["cuda" if device.startswith("cuda") else "cpu"]))()
    print((out / "README.md").read_text())
    print(f"{time.monotonic() - start:.0f} s; {out.with_suffix('.tar.gz').name} holds all of it")
    raise SystemExit(0 if well else 1)


if __name__ == "__main__":
    typer.run(main)
