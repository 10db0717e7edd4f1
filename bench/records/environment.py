"""Where a run took place: processor, versions, commit. No name of the machine or of a user, and no torch."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    "torch",
    "torchvision",
    "timm",
    "transformers",
    "numpy",
    "scikit-learn",
    "torchmetrics",
    "pycocotools",
    "pillow",
    "onnx",
    "lora-bench",
)


@cache
def processor() -> str:
    """What the processor calls itself."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


@cache
def versions() -> tuple[tuple[str, str], ...]:
    """Packages that a result depends on, and their versions."""
    found = []
    for package in PACKAGES:
        try:
            found.append((package, metadata.version(package)))
        except metadata.PackageNotFoundError:
            continue
    return tuple(found)


@cache
def commit() -> dict[str, Any]:
    """Sha of the checkout that the code runs from, and whether bench/ or studies/ differ from it; None outside git."""
    root = Path(__file__).resolve().parents[2]
    run = lambda *args: subprocess.run(("git", *args), cwd=root, capture_output=True, text=True, check=True).stdout  # noqa: E731
    try:
        sha = run("rev-parse", "HEAD").strip()
        dirty = bool(run("status", "--porcelain", "--", "bench", "studies").strip())
    except (OSError, subprocess.CalledProcessError):
        return {"git_sha": os.environ.get("LORA_BENCH_SHA"), "git_dirty": None}
    return {"git_sha": sha, "git_dirty": dirty}
