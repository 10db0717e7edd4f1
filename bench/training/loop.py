"""One run: a method on a model on a task with one seed. The loop that every family and method goes through."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from bench.costs.energy import Energy
from bench.costs.memory import Allocated
from bench.costs.time import Clock
from bench.models import Backbone
from bench.records.outcomes import encode
from bench.tasks import Data, Example, PerSample, Shows, Split
from bench.tasks.precomputed import Precomputed
from bench.training.examination import examine
from bench.training.recipe import Part, schedule, set_mode
from bench.training.run import Network, Ready, Run, behind_prefix, counted, ready

EXPLODED = 10.0
"""A mean training loss of an epoch this many times the loss of the first step ends the run as diverged."""


@dataclass
class Outcome:
    """What a run found; the fields are those of a record. Times in seconds, memory in bytes, energy in joules.

    Args:
        curve: of every epoch validation scores, training loss and rate; `steps`, `seconds` and the processor's seconds
            (`cpu`, of this process's threads together) of training so far.
        parameters: that train: `bench.training.run.counted`.
        memory: peaks "allocated" and "reserved" of CUDA's allocator in "train" and "eval"; on a CPU nothing.
        step: of a training step: `bench.costs.time.Clock.found`.
        energy: of "train" and "eval", where the device reports it.
        inference: of a tested run that is timed: `bench.training.inference.latencies`.
        checkpoint: bytes of what must be stored: `bench.training.inference.stored`.
        outcomes: what became of every sample of "test" and, at the epoch that was kept, of "val", encoded.
        retention: of a run with an old task, beside its metrics: `bench.training.retention.Retention.about`.
        update: of such a run, what training did to the weights: `bench.training.update.of_update`.
        robustness: of a run with shifts: `bench.training.robustness.measured`.
        weights: of a sound run that is to be kept: `bench.training.keeping.packed`. Stands in no record.
    """

    status: str = "ok"
    reason: str | None = None
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    curve: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int | None = None
    parameters: dict[str, int] = field(default_factory=dict)
    time: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(("data", "train", "eval", "total", "cpu"), 0.0)
    )
    precision: str = ""
    memory: dict[str, dict[str, int]] = field(default_factory=dict)
    step: dict[str, float] = field(default_factory=dict)
    energy: dict[str, float] = field(default_factory=dict)
    inference: dict[str, Any] = field(default_factory=dict)
    checkpoint: dict[str, int] = field(default_factory=dict)
    retention: dict[str, Any] = field(default_factory=dict)
    update: dict[str, Any] = field(default_factory=dict)
    robustness: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    examples: list[Example] = field(default_factory=list)
    outcomes: dict[str, Any] = field(default_factory=dict)
    weights: bytes = b""


class Diverged(RuntimeError):
    """The loss is not finite, or many times what it was."""

    status = "diverged"


class Pruned(RuntimeError):
    """Tuning has seen enough of this run."""

    status = "pruned"


def train(
    run: Run,
    *,
    device: str = "cpu",
    on_epoch: Callable[[int, dict[str, float]], str | None] = lambda epoch, scores: None,
    cache: bool = True,
    outcome: Outcome | None = None,
) -> Outcome:
    """Trains, keeps the weights of the epoch that is best on validation, tests them once, and measures their costs.

    Args:
        run: what to do.
        device: torch device.
        on_epoch: called after every epoch with their number, the validation scores and the seconds of training so far;
            a text ends the run as pruned.
        cache: compute what a frozen prefix makes of each sample only once (the same result, up to rounding).
        outcome: filled in as the run goes on, for a caller who wants what was found before an exception.

    Returns:
        The outcome; status "diverged" if the loss did, or "pruned", with the reason and the curve so far.

    Raises:
        BadInput: the parts do not fit together, or data or weights cannot be had.
    """
    outcome, clocks = outcome or Outcome(), (time.perf_counter(), time.process_time())
    parts, data = prepare(run, outcome, device=device)
    loop = Loop(run, parts, data, outcome)
    if cache and (prefix := behind_prefix(parts.backbone, parts.network, parts.step)) is not None:
        loop.skip(prefix)
    try:
        loop.fit(on_epoch)
    except (Diverged, Pruned) as end:
        outcome.status, outcome.reason = end.status, str(end)
    loop.score()
    outcome.time["samples_per_second"] = loop.seen / max(outcome.time["train"], 1e-9)
    outcome.time |= {"total": time.perf_counter() - clocks[0], "cpu": time.process_time() - clocks[1]}
    if run.test and outcome.status == "ok":
        examine(run, parts.backbone, parts.network, data, outcome, device=device)
    return outcome


def prepare(run: Run, outcome: Outcome, *, device: str) -> tuple[Ready, Data]:
    """Network, step and data of a run, with what the outcome says of them."""
    start = time.perf_counter()
    parts = ready(run, device=device)
    describe(outcome, run, parts.backbone, parts.network, precision=parts.step.precision)
    data = run.task.data(parts.backbone.inputs, seed=run.seed)
    outcome.provenance |= data.provenance
    outcome.time["data"] = time.perf_counter() - start
    return parts, data


def describe(outcome: Outcome, run: Run, backbone: Backbone, network: Network, *, precision: str) -> None:
    """What the outcome says of a network that is not trained yet."""
    outcome.parameters = counted(run, backbone, network)
    outcome.precision = precision
    outcome.provenance = dict(backbone.provenance)


class Loop:
    """The state of one run: network, data, and where in the training it is."""

    def __init__(self, run: Run, parts: Ready, data: Data, outcome: Outcome) -> None:
        self.run, self.network, self.step, self.outcome = run, parts.network, parts.step, outcome
        self.device = self.step.device
        self.splits: dict[str, Split] = {"train": data.train, "val": data.val, "test": data.test}
        self.order = torch.Generator().manual_seed(run.seed)
        self.made: dict[str, tuple[list[Any], list[Any]]] = {}
        """Outputs and targets, batch by batch, of the last evaluation of a split; of "val" at the best epoch."""
        self.first_loss = self.rate = math.nan
        self.seen, self.steps, self.cpu = 0, 0, 0.0
        self.allocated, self.energy, self.clock = Allocated(self.device), Energy(self.device), Clock(self.device)
        outcome.memory, outcome.energy = self.allocated.peaks, self.energy.joules

    def skip(self, prefix: Callable[[Any], Any]) -> None:
        """From here on a frozen prefix runs once per sample and view, in the epoch or evaluation that first asks."""

        def run(inputs: Any) -> Tensor:
            made: Tensor = prefix(self.to_device(inputs))
            return made

        self.splits = {name: Precomputed(split, run) for name, split in self.splits.items()}

    def fit(self, on_epoch: Callable[[int, dict[str, float]], str | None]) -> None:
        """Trains for the epochs asked for, or until patience ends, and restores the best weights on validation.

        Raises:
            Diverged: the training loss is not finite or exploded.
            Pruned: `on_epoch` says so.
        """
        best, kept, made, waited = (-math.inf, -math.inf), self.weights(), dict(self.made), 0
        for epoch in range(1, self.run.training.epochs + 1):
            with self.allocated.during("train"), self.energy.during("train"):
                losses = self.epoch(epoch)
            with self.allocated.during("eval"), self.energy.during("eval"):
                scores = self.evaluate("val")
            self.outcome.step = self.clock.found()
            done = {"epoch": epoch, "steps": self.steps, "seconds": self.outcome.time["train"], "cpu": self.cpu}
            self.outcome.curve.append({**done, "lr": self.rate, **losses, "val": scores})
            self.check(losses["train_loss"], exploded=True)
            self.check(scores["loss"], what="validation")
            stop = on_epoch(epoch, scores | {"seconds": self.outcome.time["train"]})
            score = (scores[self.run.task.metric], -scores["loss"])  # the headline metric; of equals, the lower loss
            if score > best:
                best, kept, made, waited = score, self.weights(), dict(self.made), 0
                self.outcome.best_epoch = epoch
            else:
                waited += 1
            self.made = dict(made)
            if stop and epoch < self.run.training.epochs:
                raise Pruned(stop)
            if self.run.training.patience and waited >= self.run.training.patience:
                break
        self.network.load_state_dict(kept, strict=False)

    def score(self) -> None:
        """The validation scores of the epoch whose weights were kept; tests these, once, where that is asked for."""
        found = self.outcome
        if found.status != "diverged":
            found.metrics["val"] = found.curve[(found.best_epoch or len(found.curve)) - 1]["val"]
            if self.run.test and found.status == "ok":
                found.metrics["test"] = self.evaluate("test")
            found.outcomes = self.outcomes()

    def outcomes(self) -> dict[str, Any]:
        """What became of every sample of the evaluations that are kept, as a record has it."""
        task = self.run.task
        if not isinstance(task, PerSample):
            return {}
        return {name: encode(task.outcomes(*made, self.splits[name].ids)) for name, made in self.made.items()}

    def epoch(self, epoch: int) -> dict[str, float]:
        """One pass over the training part, or its `epoch_steps`. Returns the mean loss, and penalty if there is one."""
        start, cpu, split = time.perf_counter(), time.process_time(), self.splits["train"]
        set_mode(self.network)
        batches = self.batches(split)
        steps, losses = len(batches) * self.run.training.epochs, dict[str, Tensor]()
        for i, index in enumerate(batches):
            done = (epoch - 1) * len(batches) + i
            factor = schedule(done, steps=steps, warmup=self.run.training.warmup)
            self.rate = self.run.training.lr * factor
            for group in self.step.rule.param_groups:
                group["lr"] = group["peak"] * factor
            view = torch.randint(split.views, (len(index),), generator=self.order)
            with self.clock.step() as lap:
                loss, penalty = self.step.over(self.parts(split, index, view, lap), lap, at=(done + 1, steps))
            for name, value in (("train_loss", loss), ("penalty", penalty)):
                if value is not None:
                    losses[name] = losses.get(name, torch.zeros((), device=self.device)) + value * len(index)
            self.seen, self.steps = self.seen + len(index), self.steps + 1
            if i % 10 == 0 or i == len(batches) - 1:  # reading the loss makes a GPU wait: not every step
                self.check(loss.item())
        self.outcome.time["train"] += time.perf_counter() - start
        self.cpu += time.process_time() - cpu
        return {name: total.item() / sum(map(len, batches)) for name, total in losses.items()}

    def parts(self, split: Split, index: Tensor, view: Tensor, lap: Callable[[str], None]) -> Iterator[Part]:
        """A batch, or its parts where it is accumulated, each read when it is asked for."""
        for n, v in zip(*(each.chunk(self.run.training.accumulate) for each in (index, view)), strict=True):
            x, targets = self.to_device(split.inputs(n, v)), self.to_device(split.targets(n, v))
            lap("data")
            yield x, targets, len(n) / len(index)

    def batches(self, split: Split) -> list[Tensor]:
        """The samples of each step of an epoch."""
        steps = self.run.training.epoch_steps
        found = split.batches(self.run.training.batch_size, self.order)
        while len(found) < steps:
            found += split.batches(self.run.training.batch_size, self.order)
        return found[: steps or None]

    def check(self, loss: float, *, what: str = "training", exploded: bool = False) -> None:
        """Ends a run that has diverged. A single step's loss may well be large; a whole epoch's mean may not."""
        self.first_loss = loss if math.isnan(self.first_loss) else self.first_loss
        if not math.isfinite(loss):
            raise Diverged(f"the {what} loss is {loss}")
        if exploded and loss > EXPLODED * max(self.first_loss, 1.0):
            raise Diverged(f"the {what} loss rose from {self.first_loss:.3g} to {loss:.3g} (mean of an epoch)")

    @torch.no_grad()
    def evaluate(self, name: str) -> dict[str, float]:
        """The task's metrics over a whole split, as it is (no mirrored views)."""
        start, split, task = time.perf_counter(), self.splits[name], self.run.task
        self.network.eval()
        outputs, targets = [], []
        for index in torch.arange(len(split)).split(2 * self.run.training.batch_size):
            targets.append(split.targets(index))
            with self.step.autocast():
                found = self.network(self.to_device(split.inputs(index)))
                outputs.append(task.keep(found, self.to_device(targets[-1])))
        scores, self.made[name] = task.metrics(outputs, targets), (outputs, targets)
        if name == "test" and isinstance(task, Shows):
            self.outcome.examples = task.examples(outputs, targets)
        self.outcome.time["eval"] += time.perf_counter() - start
        return scores

    def weights(self) -> dict[str, Tensor]:
        """A copy of all that training changes: what trains, and persistent buffers (batch statistics)."""
        named = self.network.named_parameters(remove_duplicate=False)
        fixed = {name for name, p in named if not p.requires_grad}
        state = self.network.state_dict()
        return {name: tensor.clone() for name, tensor in state.items() if name not in fixed}

    def to_device(self, value: Any) -> Any:
        """Moves a tensor, or what a task's batch is made of (anything with `.to`)."""
        return value.to(self.device, non_blocking=True)
