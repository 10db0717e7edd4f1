"""Memory of a training step: estimated without a GPU, and measured on one, a line of JSON a cell.

`python -m tests.benchmarks.gpu.memory estimate FILE` and `… measure FILE`. Both go on where FILE ends: a cell that
takes its process down is known by the line that says it began.
"""

from __future__ import annotations

import gc
import json
import os
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from tests.benchmarks.gpu.cells import Cell, cells

STEPS = 3
"""Training steps a cell: the optimiser's state is there from the first on, and gradients beside it from the second."""

app = typer.Typer(add_completion=False)
File = Annotated[Path, typer.Argument(help="Lines of JSON, to which is added.")]
Rehearsal = Annotated[bool, typer.Option(help="Small shapes, for a machine without a GPU.")]
Seconds = Annotated[float, typer.Option(help="After so many no cell is begun.")]


@app.command()
def estimate(file: File, rehearsal: Rehearsal = False, seconds: Seconds = 300) -> None:
    """What `bench memory` says on a machine without a GPU: run it with CUDA_VISIBLE_DEVICES empty."""
    end, wanted = time.monotonic() + seconds, _todo(file, cells(rehearsal=rehearsal))
    with ProcessPoolExecutor(
        max(1, (os.cpu_count() or 2) - 2), initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        futures = {pool.submit(_estimated, cell, rehearsal): cell for cell in wanted}
        for done in as_completed(futures):
            _write(file, done.result())
            if time.monotonic() > end:
                pool.shutdown(wait=False, cancel_futures=True)
                break


@app.command()
def measure(file: File, rehearsal: Rehearsal = False, seconds: Seconds = 300, device: str = "cuda") -> None:
    """What the allocator says."""
    end = time.monotonic() + seconds
    for cell in _todo(file, cells(rehearsal=rehearsal)):
        if time.monotonic() > end:
            break
        _write(file, {"cell": cell.name, "began": True})
        _write(file, _guarded(cell, lambda cell=cell: measured(cell, device)))  # type: ignore[misc]


def _estimated(cell: Cell, rehearsal: bool) -> dict[str, Any]:
    from bench.training.memory_forecast import forecast

    return _guarded(cell, lambda: {"estimated": forecast(cell.run, device="cpu" if rehearsal else "cuda").data})


def _guarded(cell: Cell, work: Any) -> dict[str, Any]:
    """What it finds, or why it failed, whole."""
    start = time.perf_counter()
    try:
        found = work()
    except Exception as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        found = {"failed": f"{type(error).__name__}: {first}", "traceback": traceback.format_exc()}
    return {**cell.described, **found, "seconds": round(time.perf_counter() - start, 3)}


def measured(cell: Cell, device: str) -> dict[str, Any]:
    """Peaks of the allocator over training and over evaluation, in bytes; on a CPU, live bytes of real tensors."""
    if torch.device(device).type != "cuda":
        return {"measured": {"train": {"tracked": training_peak(_tracked(cell))}}}
    from bench.training.recipe import set_mode
    from bench.training.run import behind_prefix, ready

    gc.collect()
    torch.cuda.empty_cache()
    idle = torch.cuda.memory_allocated()
    with torch.device(device):  # random weights are drawn where they are needed
        parts = ready(cell.run, device=device)
        inputs = parts.backbone.batch(cell.run.training.batch_size)
        targets, larger = cell.run.task.stand_ins(inputs), parts.backbone.batch(2 * cell.run.training.batch_size)
    network, step = parts.network, parts.step
    before = behind_prefix(parts.backbone, network, step) or (lambda given: given)
    x = before(inputs)
    set_mode(network)
    found = {}
    with _peaks(found, "train", idle):
        for _ in range(STEPS):
            step(x, targets, lambda phase: None)
    network.eval()
    with _peaks(found, "evaluation", idle), torch.no_grad(), step.autocast():
        network(before(larger))
    return {"measured": found}


class _peaks:
    """Takes the allocator's peaks within, above what was there before the cell, and what the device has in use."""

    def __init__(self, found: dict[str, Any], phase: str, idle: int) -> None:
        self.found, self.phase, self.idle = found, phase, idle

    def __enter__(self) -> None:
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()

    def __exit__(self, *_: object) -> None:
        torch.cuda.synchronize()
        free, total = torch.cuda.mem_get_info()
        self.found[self.phase] = {
            "allocated": torch.cuda.max_memory_allocated() - self.idle,
            "reserved": torch.cuda.max_memory_reserved(),
            "process": _of_process(),
            "device": total - free,
        }


def _of_process() -> int | None:
    """Bytes of this process as NVML (nvidia-smi) has them; None where it does not say."""
    try:
        import pynvml

        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(torch.cuda.current_device())
        used = {each.pid: each.usedGpuMemory for each in pynvml.nvmlDeviceGetComputeRunningProcesses(handle)}
    except Exception:  # no NVML, or one that does not tell: the device's own count stands beside it
        return None
    return used.get(os.getpid())


def _tracked(cell: Cell) -> dict[str, Any]:
    from bench.training.memory_forecast import _forecast

    return _forecast(cell.run, "cpu", traced=False).data


def training_peak(found: dict[str, Any]) -> int | None:
    """Of an estimate: the peak of a training step. The pass of a frozen prefix, once before training, is none."""
    phases = {name: peak for name, peak in found.get("phases", {}).items() if name not in ("prefix", "evaluation")}
    return max(phases.values(), default=None)


def _todo(file: Path, wanted: list[Cell]) -> Iterator[Cell]:
    """Cells that have no line yet. One that began and has no other line took its process down."""
    lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    ended = {line["cell"] for line in lines if "began" not in line}
    began = {line["cell"] for line in lines if "began" in line}
    for cell in wanted:
        if cell.name in began - ended:
            _write(file, {**cell.described, "failed": "its process ended in the middle"})
        elif cell.name not in ended:
            yield cell


def _write(file: Path, line: dict[str, Any]) -> None:
    with file.open("a") as lines:
        lines.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    app()
