"""Energy, where the device reports it: NVIDIA's GPUs by NVML, Linux's processors by RAPL."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import torch

POWERCAP = Path("/sys/class/powercap")


class Energy:
    """Joules by phase, added up. Of the whole device: whatever else runs on it is among them.

    Where the device reports none (or, as RAPL often, to the administrator alone), it finds none.
    """

    def __init__(self, device: torch.device, *, powercap: Path = POWERCAP) -> None:
        self.device, self.powercap = device, powercap
        self.joules: dict[str, float] = {}

    @contextlib.contextmanager
    def during(self, phase: str) -> Iterator[None]:
        """Counts within."""
        before = self.read()
        yield
        after = self.read()
        if before is not None and after is not None and after >= before:  # a counter that ran over says nothing
            self.joules[phase] = self.joules.get(phase, 0.0) + after - before

    def read(self) -> float | None:
        """Joules since some moment; None where they cannot be read."""
        if self.device.type == "cuda":
            return _of_gpu(self.device)
        return _of_processors(self.powercap) if self.device.type == "cpu" else None


def _of_gpu(device: torch.device) -> float | None:
    try:
        import pynvml

        torch.cuda.synchronize(device)
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(device).uuid}")
        return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1e3
    except Exception:  # no NVML, an old driver, a device that does not count: NVML has an error for each
        return None


def _of_processors(powercap: Path) -> float | None:
    """The sum over processor packages; microjoules in one file each (Linux's "powercap" interface)."""
    files = sorted(powercap.glob("intel-rapl:[0-9]*/energy_uj"))
    packages = [file for file in files if file.parent.name.count(":") == 1]
    try:
        return sum(int(file.read_text()) for file in packages) / 1e6 if packages else None
    except (OSError, ValueError):
        return None
