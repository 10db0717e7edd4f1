"""What to do next, of data of one's own: take the model home, label more, look at a class, give more time."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from statistics import mean
from typing import Any

from bench.report.data.advice import points
from bench.report.data.convergence import convergence
from bench.report.data.measured import Configuration
from bench.report.data.own_data import ClassScore, Point, last_gain
from bench.report.data.recommended import Recommendation

POOR = 0.5
"""Of the mean F1 (of boxes: AP) of all classes, below which one is said to be found badly."""


def next_steps(
    found: Recommendation, curve: Sequence[Point], classes: Sequence[ClassScore], about: Mapping[str, Any]
) -> Iterator[str]:
    """A line each."""
    run, where = best_run(found.recommended), str(about.get("results") or "results")
    at = "" if where == "results" else f" --results {shlex.quote(where)}"
    form = _form(found.recommended)
    yield f"Use it: `bench predict {run} FILES{at}`; take it elsewhere: `bench export {run} --to {form}{at}`."
    yield from _more_labels(curve, found.metric)
    yield from _classes(classes)
    if not found.choice.decided and len(found.candidates) > 1:
        yield (
            "Not every difference between methods is decided. A larger budget brings more seeds and longer training "
            f"(`{about.get('command') or 'bench try DATA'} --budget 2h`), more test samples narrower intervals."
        )
    late = [c.label for c, each in convergence(found.group).items() if each.improving]
    if late:
        yield f"Still improving when training stopped: {', '.join(late)}. A larger budget trains longer."
    edges = [c.label for c in found.candidates if c.at_edge]
    if edges:
        yield f"The best learning rate lay at the edge of what was tried for {', '.join(edges)}."


def best_run(of: Configuration) -> str:
    """The id of the run of the best seed, by validation."""

    def on_validation(run: Mapping[str, Any]) -> tuple[float, float]:
        scores = run["metrics"].get("val") or {}
        return float(scores.get(str(run["task"]["metric"])) or 0.0), -float(scores.get("loss") or 0.0)

    return str(max(of.runs, key=on_validation)["run_id"])


def _form(of: Configuration) -> str:
    """What a run is exported to: merged, where nothing of the method is left in the network then, as its latency was
    measured, and a library has such a network."""
    run = of.runs[0]
    if run["task"].get("family") == "detection" and not str(run["model"].get("spec")).startswith("Torchvision"):
        return "onnx"
    known = [(run.get("inference") or {}).get("latency") or {} for run in of.runs]
    merges = of.name in ("FullFineTuning", "LinearProbe") or any("merged" in each for each in known)
    return "merged" if merges else "adapter"


def _more_labels(curve: Sequence[Point], metric: str) -> Iterator[str]:
    """By what the last doubling of the training part brought."""
    gain = last_gain(curve)
    if gain is None:
        return
    fewer, most = curve[-2].samples, curve[-1].samples
    size = points(metric, gain.mean, sign=True)
    sure = ""
    if gain.interval:
        low, high = (points(metric, end, sign=True).removesuffix(" points") for end in gain.interval)
        sure = f" ({low} to {high})"
    step = f"from {fewer:,} to {most:,} training samples it gained {size}{sure}"
    if gain.seen and gain.mean > 0:
        yield f"More labels would help: {step}."
    else:
        yield f"Whether more labels would help is not shown: {step}, which is no significant difference."


def _classes(classes: Sequence[ClassScore]) -> Iterator[str]:
    """Those that are found much worse than the others."""
    values = [one.ap if one.ap is not None else one.f1 for one in classes]
    if len(values) < 2 or not mean(values):
        return
    poor = [one for one, value in zip(classes, values, strict=True) if value < POOR * mean(values)]
    if poor:
        named = ", ".join(f"{one.name} ({one.support:,} in test)" for one in poor[:5])
        more = f" and {len(poor) - 5} more" if len(poor) > 5 else ""
        yield f"Found much worse than the others: {named}{more}. Label more of these, or join classes that are alike."
