"""A study of costs: a few steps of every cell on random weights and inputs; nothing is tuned, learned or tested.

What a step takes depends on shapes alone, so neither weights nor data are fetched. Memory on a GPU is estimated.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import torch

from bench.costs.energy import Energy
from bench.costs.memory import Allocated
from bench.costs.time import Clock, median_seconds
from bench.costs.units import readable
from bench.errors import BadInput
from bench.execution.executor import guarded
from bench.execution.parallelism import available
from bench.execution.watcher import Watcher
from bench.methods import LinearProbe
from bench.records import PROTOCOL, Records, run_id
from bench.study import Cell, Costs, Study
from bench.study.plan import Row, first_line, memory_of, trainable
from bench.study.plugins import fingerprint, refuse_failing
from bench.study.recording import DONE, Record, keep, made, memory, retire_older
from bench.study.speed import Speed
from bench.training import inference
from bench.training.device import environment
from bench.training.loop import Outcome, describe
from bench.training.memory_forecast import Forecast, forecast_once
from bench.training.recipe import precision, set_mode
from bench.training.run import Run, assemble, behind_prefix, ready

ESTIMATED_FOR = "cuda"
"""The type of device whose memory is estimated beside that of the device at hand."""


def measure(run: Run, steps: int, outcome: Outcome, *, device: str) -> Outcome:
    """Times training steps and forward passes on random inputs, all at the run's batch size.

    Args:
        run: its data are not read, its model's weights are random.
        steps: how many are timed.
        outcome: filled in.
        device: torch device.

    Returns:
        The outcome. Where the frozen part of a network runs once per sample, before training, it is not in the step;
        `outcome.step["prefix"]` is then how long it takes for a batch.
    """
    start, random = time.perf_counter(), replace(run, model=run.model.untrained())
    parts = ready(random, device=device)
    backbone, network, step = parts.backbone, parts.network, parts.step
    describe(outcome, run, backbone, network, precision=step.precision)
    inputs = backbone.batch(run.training.batch_size)
    targets, x, prefix = run.task.stand_ins(inputs), inputs, {}
    if (before := behind_prefix(backbone, network, step)) is not None:
        x, prefix = before(inputs), {"prefix": median_seconds(partial(before, inputs), device=device, repeats=3)}
    set_mode(network)
    clock, allocated, energy = Clock(step.device, counted=1), Allocated(step.device), Energy(step.device)
    with energy.during("train"):
        for each in range(steps + 1):
            with allocated.during("train" if each else "first"), clock.step() as lap:
                step(x, targets, lap)
    outcome.step, outcome.energy = clock.found() | prefix, energy.joules
    outcome.memory = {phase: peaks for phase, peaks in allocated.peaks.items() if phase == "train"}
    outcome.checkpoint = inference.stored(network)
    outcome.inference = inference.latencies(random, backbone, network, device=device, precision=outcome.precision)
    outcome.time["total"] = time.perf_counter() - start
    return outcome


def shapes(run: Run, outcome: Outcome, *, device: str) -> Outcome:
    """What is known of a network without its weights: what it trains, and in which precision it would on a device."""
    backbone, network = assemble(replace(run, model=run.model.untrained()), device="meta")
    resolved = precision(run.training.precision, device=device, pays=backbone.mixed_precision)
    describe(outcome, run, backbone, network, precision=resolved)
    return outcome


def identity(run: Run, costs: Costs, *, stepped: bool) -> str:
    """The run's id: a hash of all that determines what is measured."""
    parts = {"task": run.task, "model": run.model, "method": run.method, "training": run.training}
    how = {"steps": costs.steps * stepped, "batches": list(costs.batches), "for": ESTIMATED_FOR}
    code = {"method_sha256": found} if (found := fingerprint(run.method)) else {}
    return run_id({**{kind: repr(part) for kind, part in parts.items()}, "costs": how, **code})


def recorded(records: Records, rid: str, device: str) -> Record | None:
    """The record that spares a measurement: it was made on this kind of device."""
    record, here = records.read(rid), environment(device)
    alike = record and all(here[key] == record["environment"].get(key) for key in ("device_name", "threads"))
    return record if record and alike and record["status"] in DONE else None


def plan(study: Study, records: Records, *, device: str) -> list[Row]:
    """Every cell with its exact counts, and whether it is recorded."""
    rows = []
    for cell, rid, _ in _wanted(study):
        done = recorded(records, rid, device) is not None
        try:
            refuse_failing(cell.method, cell.task.family)
            rows.append(Row(cell, *trainable(cell, study.training), trials=0, finals=1 - done, done=int(done)))
        except Exception as error:  # the other cells are sound
            rows.append(Row(cell, 0, 0, 0, 0, 0, refused=first_line(error)))
    if rows and all(row.refused for row in rows):
        raise BadInput(rows[0].refused)
    return rows


def estimated(
    study: Study,
    rows: list[Row],
    *,
    device: str,
    told: Callable[[Row], object],
    forecast: Callable[..., Forecast] = forecast_once,
) -> list[Row]:
    """The rows with memory, and with times from one forward pass of each model."""
    known: dict[Any, Speed] = {}
    nothing = Speed(0.0, 0.0, cached=False, sizes=(0, 0, 0), views=1, training=study.training)
    found, free = [], available(device)
    for row in rows:
        if row.todo:
            memory, unknown = memory_of(_run(study, row.cell), device=device, forecast=forecast)
            row = replace(row, memory=memory, unknown=unknown)
            if row.cell.model in study.models and row.fits(free) and row.cell.model not in known:
                known[row.cell.model] = _speed(study, row.cell, device)
            row = replace(row, speed=known.get(row.cell.model, nothing))
        found.append(row)
        told(row)
    return found


_PASSES = 25
"""Forward passes of a batch to which latencies and what is done beside the steps amount, about."""


def _speed(study: Study, cell: Cell, device: str) -> Speed:
    """From the untouched network, of whose forward pass a step takes about three times as long."""
    assert study.costs is not None
    run = _run(study, replace(cell, method=LinearProbe()))
    backbone, network = assemble(replace(run, model=run.model.untrained()), device=device)
    network.eval()
    inputs, n = backbone.batch(1), study.training.batch_size
    with torch.no_grad():
        forward = n * median_seconds(lambda: network(inputs), device=device, repeats=1)
    sizes = ((study.costs.steps + 1) * n, 0, _PASSES * n)
    return Speed(3 * forward, forward, cached=False, sizes=sizes, views=1, training=replace(study.training, epochs=1))


def _run(study: Study, cell: Cell) -> Run:
    return Run(cell.task, cell.model, cell.method, study.training, seed=study.seeds[0])


def _wanted(study: Study) -> list[tuple[Cell, str, bool]]:
    """Cells with the ids of their records, and whether steps are done."""
    assert study.costs is not None
    wanted = []
    for cell in study.cells():
        stepped = cell.model in study.models
        wanted.append((cell, identity(_run(study, cell), study.costs, stepped=stepped), stepped))
    return wanted


@dataclass
class Costing:
    """Measures the cells of a study of costs, one at a time: beside each other they would slow each other down.

    Args:
        study: what to measure.
        scale: for the records.
        records: where they are kept.
        device: torch device.
        watcher: who is told.
        left_out: cells that the plan refused.
    """

    study: Study
    scale: str
    records: Records
    device: str = "cpu"
    watcher: Watcher = field(default_factory=Watcher)
    left_out: Collection[Cell] = ()

    def __call__(self) -> list[Record]:
        """Measures what is not recorded yet. Returns all records, of failures too."""
        found, wanted = [], _wanted(self.study)
        self.retire({rid for _, rid, _ in wanted})
        for cell, rid, stepped in (each for each in wanted if each[0] not in self.left_out):
            run = _run(self.study, cell)
            record = recorded(self.records, rid, self.device)
            fresh = record is None
            if record is None:
                self.watcher.started(run)
                record = self.made(run, rid, stepped=stepped)
                keep(self.records, record)
            found.append(record)
            self.watcher.finished(run, record, fresh)
            if fresh and cell.method == self.study.methods[-1]:
                self.watcher.cell(cell, [record])
        if all(record["status"] != "failed" for record in found):
            retire_older(self.records, (cell for cell, _, _ in wanted))
        return found

    def measured(self, run: Run, *, stepped: bool) -> Outcome:
        """Parameters and, of a model of which steps are done and fit, time, latency and checkpoint."""
        costs, need, free = self.study.costs, memory_of(run, device=self.device)[0], available(self.device)
        assert costs is not None
        fits = need is None or need.peak <= free
        if stepped and fits:
            return guarded(lambda outcome: measure(run, costs.steps, outcome, device=self.device), device=self.device)
        outcome = guarded(lambda outcome: shapes(run, outcome, device=self.device), device="meta")
        if stepped and need is not None and outcome.status == "ok":
            outcome.status = "out_of_memory"
            outcome.reason = f"not tried: it needs about {readable(need.peak)}, {readable(int(free))} are free"
        return outcome

    def made(self, run: Run, rid: str, *, stepped: bool) -> Record:
        """The record of a cell."""
        assert self.study.costs is not None
        started, outcome = datetime.now(UTC), self.measured(run, stepped=stepped)
        record = made(
            self.study, self.scale, self.records, run, outcome, phase="costs", started=started, device=self.device
        )
        of_gpu = {}
        for n in self.study.costs.batches:
            each = memory(replace(run, training=replace(run.training, batch_size=n)), {}, device=ESTIMATED_FOR)
            of_gpu[str(n)] = each["forecast"]
        here = record["memory"] or memory(run, {}, device=self.device)
        return record | {"run_id": rid, "memory": here | {ESTIMATED_FOR: of_gpu}, "tuning": None}

    def retire(self, current: set[str]) -> None:
        """Moves aside what the study as it is now would not measure of its tasks."""
        tasks = {repr(task) for task in self.study.tasks}
        self.records.retire(
            record["run_id"]
            for record in self.records.all()
            if record["phase"] == "costs" and record["task"].get("spec") in tasks and record["run_id"] not in current
            if record["protocol"] == PROTOCOL
        )
