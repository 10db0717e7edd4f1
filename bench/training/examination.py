"""What is measured of a tested network beside its scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.models import Backbone
from bench.tasks import Data
from bench.training import inference
from bench.training.keeping import packed
from bench.training.retention import retained
from bench.training.robustness import measured
from bench.training.run import Network, Run
from bench.training.update import of_update

if TYPE_CHECKING:
    from bench.training.loop import Outcome


def examine(run: Run, backbone: Backbone, network: Network, data: Data, outcome: Outcome, *, device: str) -> None:
    """What it costs and, where the run asks for it, its weights, what is left of an old task, what shifts do to it."""
    if run.keep:
        outcome.weights = packed(run.task, backbone, network)
    outcome.checkpoint = inference.stored(network)
    if run.timed:
        outcome.inference = inference.latencies(run, backbone, network, device=device, precision=outcome.precision)
    if run.shifts is not None:
        outcome.robustness = measured(run, backbone, network, data, device=device, precision=outcome.precision)
    if run.retained is None:
        return
    outcome.update = of_update(run.model, run.method, backbone, seed=run.seed, output=run.task.output)
    try:
        found = retained(run, backbone, device=device, precision=outcome.precision)
        outcome.metrics |= found.metrics
        outcome.retention = found.about
    except ValueError as error:  # features that no head can be fitted to: the run itself went well
        outcome.provenance["retained_failed"] = str(error)
