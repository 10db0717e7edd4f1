"""Where a run takes place: which device, and what a record says of it."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
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


_elsewhere: ContextVar[dict[str, Any] | None] = ContextVar("elsewhere", default=None)


@contextmanager
def runs_elsewhere(there: dict[str, Any] | None) -> Iterator[None]:
    """While runs take place on other machines: `environment` is then theirs; None for this one."""
    token = _elsewhere.set(there)
    try:
        yield
    finally:
        _elsewhere.reset(token)


def environment(device: str) -> dict[str, Any]:
    """What a record keeps of the machine that runs take place on. Scores are averaged over one device and number of
    threads, or, of fp32 on CPUs, over all of them; times over one machine (`bench.records.environment`)."""
    there = _elsewhere.get()
    return of_this_machine(device) if there is None else dict(there)


def of_this_machine(device: str) -> dict[str, Any]:
    """`environment`, wherever runs take place."""
    kind = torch.device(device).type
    return {
        "device": kind,
        "device_name": torch.cuda.get_device_name(device) if kind == "cuda" else processor(),
        "threads": torch.get_num_threads(),
        **({"instructions": list(instructions())} if kind == "cpu" else {}),
        "python": platform.python_version(),
        "versions": dict(versions()),
    }
