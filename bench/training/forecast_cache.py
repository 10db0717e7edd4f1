"""Estimates of memory that need not be made again: in the user's cache, by all that they depend on.

That is the specification of what is trained, the code of this package and the versions of the libraries that a step
goes through, what the processor or GPU can do, and torch's switches. What is defined outside this package or lies in a
folder of one's own is estimated every time; with LORA_BENCH_FORECASTS=off all is.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from timm.layers import use_fused_attn

from bench.assets import cache_folder
from bench.costs.memory import Memory, Moment
from bench.records import write_atomically
from bench.training.memory_forecast import Forecast
from bench.training.run import Run

PACKAGES = ("assets", "costs", "methods", "models", "tasks", "training")
"""Of this package, those whose code a step or its estimate goes through."""
LIBRARIES = ("bitsandbytes", "peft", "timm", "torch", "torchvision", "transformers")
FOLDER = "forecasts"


def read(runs: Iterable[Run], device: str) -> dict[tuple[Run, str], Forecast]:
    """What is known of these runs, as `bench.training.memory_forecast.alike` makes them, by run and device."""
    found = {}
    for run in runs:
        if (path := _path(run, device)) is not None:
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # none, or not whole: made again
                found[run, device] = _forecast(json.loads(path.read_text()))
    return found


def write(found: Mapping[tuple[Run, str], Forecast]) -> None:
    """Keeps estimates. A disk that takes none is no error."""
    for (run, device), forecast in found.items():
        if (path := _path(run, device)) is not None:
            with contextlib.suppress(Exception):
                path.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(path, json.dumps(asdict(forecast)))


def _path(run: Run, device: str) -> Path | None:
    """Where an estimate stands; None where it depends on code that is not ours, or on a folder, which may change."""
    if os.environ.get("LORA_BENCH_FORECASTS") == "off" or Path(run.model.name).exists():
        return None
    methods = getattr(run.method, "parts", (run.method,))
    parts = (run.task, run.model, *methods, *(each for each in (run.retained, run.shifts) if each is not None))
    if not all(type(part).__module__.startswith("bench.") for part in parts):
        return None
    classes = [getattr(task, "classes", None) for task in (run.task, run.retained)]
    what = [repr(part) for part in (run.task, run.model, run.method, run.training, run.retained, run.shifts)]
    text = json.dumps([*what, *map(repr, classes), device, *_circumstances()])
    return cache_folder() / FOLDER / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.json"


def _circumstances() -> list[str]:
    """All else that a step's memory depends on."""
    cuda = torch.backends.cuda
    switches = [
        use_fused_attn(), cuda.flash_sdp_enabled(), cuda.mem_efficient_sdp_enabled(), cuda.math_sdp_enabled(),
        torch.is_autocast_cache_enabled(),
    ]  # fmt: skip
    here = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    able: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return [_code(), here, json.dumps(able, sort_keys=True, default=str), repr(switches)]


@cache
def _code() -> str:
    """Of our code and of the libraries' versions."""
    top = Path(__file__).parents[1]
    files = [*sorted(top.glob("*.py")), *(path for part in PACKAGES for path in sorted((top / part).rglob("*.py")))]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files))
    for library in LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):
            digest.update(f"{library} {version(library)} ".encode())
    return digest.hexdigest()


def _forecast(stored: Mapping[str, Any]) -> Forecast:
    """From what `asdict` made of one."""
    memory = dict(stored["memory"])
    phases = {name: Moment(**one) for name, one in memory["phases"].items()}
    whole = Memory(Moment(**memory["peak"]), phases, reserved=memory["reserved"], rounding=memory["rounding"])
    return Forecast(whole, *(stored[name] for name in ("kind", "batch", "device", "precision")))
