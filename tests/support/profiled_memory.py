"""The memory of a real training step on the CPU, as torch's profiler sees its allocator: an independent count."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils._pytree import tree_leaves

from bench.costs.memory import begin
from bench.models import Backbone
from bench.training.memory_forecast import part_of_batch, resolved_precision
from bench.training.recipe import Part, set_mode
from bench.training.run import Run, assemble, behind_prefix, step_of

MARK = 12_347
"""Bytes of a tensor whose size nothing else has: from it to the next the step goes on, outside a batch is made."""


def measured(run: Run) -> int:
    """Bytes at the peak of a training step, of everything that torch's allocator gave since the network was made."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        backbone, network = assemble(run, device="cpu")
        set_mode(network)
        step = step_of(run, network, device="cpu", precision=resolved_precision(run, backbone, "cpu"))
        begin(step.rule)
        step.rule.zero_grad(set_to_none=True)
        before = behind_prefix(backbone, network, step)
        gc.collect()
        _mark()
        step.over(_parts(run, backbone, before))
        _mark()
    return _peak(profiled)


def within(operation: Any, *args: Any) -> int:
    """Bytes at the peak within one operation, beyond those of what it returns."""
    operation(*args)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        _mark()
        out = operation(*args)
        _mark()
    return _peak(profiled) - sum(each.untyped_storage().nbytes() for each in tree_leaves(out) if each is not None)


def _peak(profiled: Any) -> int:
    events = (event for event in profiled.profiler.kineto_results.events() if event.name() == "[memory]")
    live = peak = 0
    counting = False
    for event in sorted(events, key=lambda event: event.start_ns()):
        counting ^= event.nbytes() == MARK
        live += event.nbytes()
        peak = max(peak, live) if counting and abs(event.nbytes()) != MARK else peak
    return peak


def _mark() -> None:
    torch.empty(MARK, dtype=torch.uint8)


def _parts(run: Run, backbone: Backbone, before: Callable[[Any], Any] | None) -> Iterator[Part]:
    """Of a batch, as the training loop makes them."""
    for _ in range(run.training.accumulate):
        _mark()
        x: Any = part_of_batch(run, backbone)
        targets = run.task.stand_ins(x)
        _mark()
        if before:
            x = before(x)  # what went in is not there any more: training reads what came out
        yield x, targets, 1 / run.training.accumulate
