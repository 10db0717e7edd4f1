"""Where a run took place: processor, versions, commit. No name of the machine or of a user, and no torch."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from collections.abc import Mapping
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

INSTRUCTIONS = (
    *("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "avx_vnni", "amx_tile", "amx_bf16", "amx_int8"),
    *("asimd", "asimddp", "sve", "sve2", "bf16", "i8mm"),
)
"""Of x86 and ARM, as Linux calls them: those that decide how fast matrices are multiplied, in which precision."""


@cache
def processor() -> str:
    """What the processor calls itself."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


@cache
def instructions() -> tuple[str, ...]:
    """What the processor can do that decides how fast it is, and is not in its name; empty where it does not say."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ()
    said = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    known = set(said.partition(":")[2].split())
    return tuple(name for name in INSTRUCTIONS if name in known)


def portable(environment: Mapping[str, Any], precision: object) -> bool:
    """Whether a run's scores may stand beside those of another processor: fp32 on a CPU.

    They then differ by rounding alone, which is less than a seed makes; seconds never may (`machine`).
    """
    return environment.get("device") == "cpu" and precision == "fp32"


def machine(environment: Mapping[str, Any]) -> tuple[str, ...]:
    """What seconds and latency depend on: processor, its instructions, threads. One name has stood for several."""
    parts = environment.get("device_name"), environment.get("instructions"), environment.get("threads")
    return tuple(map(str, parts))


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
def source() -> str:
    """A hash of the library's own code: two machines with the same run the same."""
    root, found = Path(__file__).resolve().parents[1], hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        found.update(f"{path.relative_to(root).as_posix()} ".encode() + path.read_bytes())
    return found.hexdigest()


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
