"""Where a run took place: device, threads, versions, commit. No name of the machine or of a user."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from bench.errors import BadInput

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


def choose_device(wanted: str | None) -> str:
    """The device asked for, or CUDA where there is one, else the CPU.

    Raises:
        BadInput: torch does not know the device, or it is not there.
    """
    if wanted is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=torch.device(wanted))
    except (RuntimeError, AssertionError) as error:
        raise BadInput(f"device {wanted!r} cannot be used: {str(error).splitlines()[0]}") from None
    return wanted


def environment(device: str) -> dict[str, Any]:
    """What a record keeps of the machine. Runs are only averaged with runs of the same device and threads."""
    kind = torch.device(device).type
    return {
        "device": kind,
        "device_name": torch.cuda.get_device_name(device) if kind == "cuda" else _processor(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "versions": dict(_versions()),
    }


@cache
def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


@cache
def _versions() -> tuple[tuple[str, str], ...]:
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
    root = Path(__file__).resolve().parent.parent
    run = lambda *args: subprocess.run(("git", *args), cwd=root, capture_output=True, text=True, check=True).stdout  # noqa: E731
    try:
        sha = run("rev-parse", "HEAD").strip()
        dirty = bool(run("status", "--porcelain", "--", "bench", "studies").strip())
    except (OSError, subprocess.CalledProcessError):
        return {"git_sha": os.environ.get("LORA_BENCH_SHA"), "git_dirty": None}
    return {"git_sha": sha, "git_dirty": dirty}
