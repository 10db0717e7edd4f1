"""What a tuned network does where data shift.

- Corruptions: those of the task (`corruptions`), each at every severity, on some of the test part.
- Calibration on the whole test part: `bench.tasks.metrics.calibration`, before and after one temperature fitted to
  validation (Guo et al. 2017, arXiv:1706.04599). The weights' epoch was chosen on the same validation part.
- Weight interpolation: θ = (1 − α)·θ_before + α·θ_tuned of the backbone under the head as trained, where what is left
  of the method is weights of the network, merged if need be. Wortsman et al. 2021 (WiSE-FT, arXiv:2109.01903)
  interpolate the head too, from one made of text: here there is none before training.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.models import Backbone
from bench.tasks import Corruptible, Data, Split
from bench.tasks.metrics import BINS, calibration
from bench.training.inference import versions
from bench.training.run import Network, Run

_DIGITS = 4
_KEPT = ("top1", "macro_f1", "loss", "accuracy", "f1")


def measured(
    run: Run, backbone: Backbone, network: Network, data: Data, *, device: str, precision: str
) -> dict[str, Any]:
    """Measures a final run's test part again, once; nothing is chosen by it. The module's text says what and how.

    Args:
        run: with `run.shifts`.
        backbone: what the inputs are made for.
        network: as trained; left in evaluation mode.
        data: of the run.
        device, precision: of the run.

    Returns:
        A record's `robustness`: "samples"; "clean" scores of these; "corruptions", by name and severity;
        "calibration"; "interpolation", by α, "clean" and "corrupted", the mean over corruptions at one severity.
    """
    shifts, task = run.shifts, run.task
    assert shifts is not None and isinstance(task, Corruptible)  # `Study` asks for both
    forms = versions(run, network, device=device)
    score = _scorer(task, device=device, precision=precision, size=2 * run.training.batch_size)
    index = _spread(len(data.test), shifts.samples)
    levels = sorted({*shifts.severities, shifts.at})
    made = partial(task.corrupted, data.test, backbone.inputs, index)
    clean, worse = made("", 0), {name: {s: made(name, s) for s in levels} for name in task.corruptions}
    found: dict[str, Any] = {
        "samples": len(index),
        "clean": score(network, clean),
        "corruptions": {name: {str(s): score(network, by[s]) for s in shifts.severities} for name, by in worse.items()},
        "calibration": _calibrated(task, network, data, device=device, precision=precision),
    }
    tuned = forms.get("merged") or forms["unmerged"]
    mixed = _mixed(forms["base"], tuned, shifts.alphas)
    at = [by[shifts.at] for by in worse.values()]
    means = {f"{a:g}": {"clean": score(n, clean), "corrupted": _mean(score(n, s) for s in at)} for a, n in mixed}
    return found | ({"interpolation": means} if means else {})


def _spread(n: int, samples: int) -> Tensor:
    """Indices at equal distances."""
    return torch.arange(n) if not 0 < samples < n else torch.linspace(0, n - 1, samples).round().long()


def _scorer(task: Any, *, device: str, precision: str, size: int) -> Callable[[Network, Split], dict[str, float]]:
    def score(network: Network, split: Split) -> dict[str, float]:
        outputs, targets = outputs_of(task, network, split, device=device, precision=precision, size=size)
        return {name: round(value, _DIGITS) for name, value in task.metrics(outputs, targets).items() if name in _KEPT}

    return score


@torch.no_grad()
def outputs_of(
    task: Any, network: Network, split: Split, *, device: str, precision: str, size: int
) -> tuple[list[Any], list[Any]]:
    """Outputs and targets of a whole split, batch by batch."""
    network.eval()
    outputs, targets = [], []
    for index in torch.arange(len(split)).split(size):
        targets.append(split.targets(index))
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=precision == "bf16"):
            outputs.append(task.keep(network(split.inputs(index).to(device)), targets[-1]))
    return outputs, targets


def _calibrated(task: Any, network: Network, data: Data, *, device: str, precision: str) -> dict[str, Any]:
    """Before and after a temperature."""
    parts = []
    for split in (data.val, data.test):
        outputs, targets = outputs_of(task, network, split, device=device, precision=precision, size=64)
        parts.append((torch.cat(outputs).double(), torch.cat(targets)))
    (val, known), (test, truth) = parts
    best = temperature(val, known)
    figures = {"before": calibration(test, truth), "after": calibration(test / best, truth)}
    rounded = {when: {name: round(value, _DIGITS) for name, value in each.items()} for when, each in figures.items()}
    return {"bins": BINS, "temperature": round(best, _DIGITS), **rounded}


def temperature(logits: Tensor, classes: Tensor) -> float:
    """T that minimises the cross-entropy of logits / T; from e⁻⁴ to e⁴.

    Args:
        logits: (n, classes), float64.
        classes: (n).
    """
    from scipy.optimize import minimize_scalar

    def loss(log: float) -> float:
        return nn.functional.cross_entropy(logits / np.exp(log), classes).item()

    return float(np.exp(minimize_scalar(loss, bounds=(-4, 4), method="bounded").x))


def _mixed(base: Network, tuned: Network, alphas: Iterable[float]) -> list[tuple[float, Network]]:
    """Means of the backbone's weights under the trained head; none where they have not the same ones, or all alike."""
    first, last = base.backbone.state_dict(), tuned.backbone.state_dict()
    if first.keys() != last.keys() or all(torch.equal(first[name], last[name]) for name in first):
        return []
    found = []
    for alpha in alphas:
        each = copy.deepcopy(tuned)
        each.features = each.backbone.__call__
        weights = {
            name: torch.lerp(first[name], value, alpha) if value.is_floating_point() else value
            for name, value in last.items()
        }
        each.backbone.load_state_dict(weights)
        found.append((alpha, each))
    return found


def _mean(scores: Iterable[dict[str, float]]) -> dict[str, float]:
    known = list(scores)
    return {name: round(float(np.mean([each[name] for each in known])), _DIGITS) for name in known[0]}
