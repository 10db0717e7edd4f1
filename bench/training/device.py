"""Where a run takes place: which device, and what a record says of it."""

from __future__ import annotations

import platform
from typing import Any

import torch

from bench.errors import BadInput
from bench.records.environment import instructions, processor, versions


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
    """What a record keeps of the machine. Scores are averaged over one device and number of threads, or, of fp32 on
    CPUs, over all of them; times over one machine (`bench.records.environment`)."""
    kind = torch.device(device).type
    return {
        "device": kind,
        "device_name": torch.cuda.get_device_name(device) if kind == "cuda" else processor(),
        "threads": torch.get_num_threads(),
        **({"instructions": list(instructions())} if kind == "cpu" else {}),
        "python": platform.python_version(),
        "versions": dict(versions()),
    }
