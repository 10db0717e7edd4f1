"""Made-up records of a study, and what stands where in a figure. For tests, never for results/."""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from bench.records import PROTOCOL, Records, run_id

Case = tuple[str, dict[str, Any], int, float, float]  # method, fields, backbone parameters, accuracy, seconds
PROBE: Case = ("LinearProbe", {}, 0, 0.814, 1.2)
FULL: Case = ("FullFineTuning", {}, 21_589_632, 0.851, 18.4)
LORAS: list[Case] = [
    ("LoRA", {"rank": rank, "alpha": 16.0, "at": ["q", "v"]}, 18_432 * rank, 0.846 + 0.002 * step, 11.2 + 0.1 * step)
    for step, rank in enumerate((1, 2, 4, 8, 16, 32, 64))
]
RIVALS: list[Case] = [
    ("BitFit", {}, 51_456, 0.847, 9.8),
    ("Houlsby", {"width": 64}, 1_190_400, 0.855, 13.5),
    ("Pfeiffer", {"width": 64}, 595_200, 0.849, 10.5),
    ("AdaptFormer", {"width": 64}, 595_212, 0.857, 11.0),
    ("FeatureLoRA", {"rank": 8, "depth": 1}, 6_144, 0.822, 1.6),
]
STUDY = [PROBE, FULL, *LORAS, *RIVALS]

LORA = "LoRA(rank=8, alpha=16.0, at=['q', 'v'])"
LR = {"low": 1e-4, "high": 1e-2, "log": True}
REASONS = {"pruned": "after epoch 2 of 4: below the median of earlier trials", "diverged": "loss not finite"}
TRAINED = ("lr", "weight_decay")
Tried = tuple[dict[str, Any], str, float | None]  # parameters, how the trial ended, its score
THREE: list[Tried] = [({"lr": 1e-3}, "ok", 0.85), ({"lr": 1e-4}, "ok", 0.8), ({"lr": 9e-3}, "diverged", None)]


def trail(method: str, tried: Sequence[Tried], **changes: Any) -> dict[str, Any]:
    """What a final run's record says of the search behind it: the first trial is the default one."""
    trials = [
        {
            "number": number,
            "params": params,
            "status": status,
            "score": score,
            "loss": None,
            "epochs": 4,
            "seconds": 9.0,
        }
        for number, (params, status, score) in enumerate(tried)
    ]
    lower = changes.get("on") == "val/loss"
    completed = [trial for trial in trials if trial["status"] == "ok"]
    best: Any = (min if lower else max)(completed, key=lambda trial: trial["score"], default=None)
    return {
        "search": f"elpv vit {method} 1f3a9c20", "method": method, "shared_from": None, "sampler": "tpe",
        "pruner": "median", "on": "val/top1", "seeds": [1000], "budget": len(tried), "epochs": 4,
        "space": dict.fromkeys(tried[0][0], LR), "default": tried[0][0], "trials": trials,
        "chosen": best and {"number": best["number"], "params": best["params"]}, "edge": [],
    } | changes  # fmt: skip


def record(case: Case, seed: int, **changes: Any) -> dict[str, Any]:
    """A record as a study writes it. Invented numbers: for tests, never for results/."""
    name, config, backbone, accuracy, seconds = case
    top1 = accuracy + 0.006 * ((seed * 7 + len(name)) % 3 - 1)
    rank = config.get("rank")
    curve = [{"epoch": epoch, "val": {"top1": top1 - 0.1 / epoch}} for epoch in (1, 2, 3)]
    spec = f"{name}({', '.join(f'{key}={value!r}' for key, value in config.items())})"
    made: dict[str, Any] = {
        "protocol": PROTOCOL, "study": "rank-sweep", "scale": "laptop", "phase": "final",
        "task": {"spec": "Images('elpv', train=400)", "name": "elpv", "family": "images", "metric": "top1"},
        "model": {"spec": "Timm('vit', image_size=56)", "name": "vit"},
        "method": {"spec": spec, "name": name, "config": config},
        "training": {"lr": 1e-3, "epochs": 3, "precision": "bf16"}, "seed": seed, "status": "ok", "reason": None,
        "metrics": {"val": {"top1": top1}, "test": {"top1": top1}}, "curve": curve, "best_epoch": 3,
        "parameters": {"backbone": backbone, "head": 770, "total": backbone + 770},
        "time": {"train": seconds + 0.1 * seed, "total": seconds + 2},
        "tuning": trail(
            LORA if name == "LoRA" else spec, THREE, edge=["lr"] * (name == "BitFit"),
            shared_from=LORA if name == "LoRA" and rank != 8 else None,
        ),
        "environment": {"device_name": "EPYC", "threads": 2, "python": "3.11.7", "versions": {"torch": "2.15.0"}},
        "provenance": {"git_sha": "0123456789abcdef", "ended": "2025-01-01T00:00:00+00:00"},
    }  # fmt: skip
    made |= changes
    return made | {"run_id": run_id({key: value for key, value in made.items() if key != "run_id"})}


def reference(seed: int, top1: float, *, label: str | None = "word counts, all 9,700 texts", **changes: Any) -> Any:
    """A record of a baseline without a network, as a study writes it."""
    made = record(PROBE, seed) | {
        "phase": "reference", "model": {"spec": "none", "name": "none"}, "training": {}, "parameters": {},
        "method": {"spec": "WordCounts(texts='all')", "name": "WordCounts", "config": {"texts": "all"}},
        "metrics": {"val": {"top1": top1}, "test": {"top1": top1}}, "curve": [], "best_epoch": None,
        "time": {"total": 1.5}, "tuning": {"candidates": [{"C": c} for c in (0.1, 1.0)], "chosen": {"C": 1.0}},
    }  # fmt: skip
    if label:
        made["method"]["label"] = label
    made |= changes
    return made | {"run_id": run_id({key: value for key, value in made.items() if key != "run_id"})}


def other_task(name: str, *, metric: str = "top1", model: str = "vit", started: str = "2025") -> dict[str, Any]:
    """What to change in a record so that it is of another task."""
    return {
        "task": {"spec": f"Task({name!r})", "name": name, "family": "other", "metric": metric},
        "model": {"spec": f"Model({model!r})", "name": model},
        "provenance": {"started": started},
    }


def tuned(
    case: Case, tried: Sequence[Tried], seeds: Sequence[int] = (0, 1, 2), *, gain: float = 0.01, **changes: Any
) -> list[dict[str, Any]]:
    """All records of one search: its trials, the final runs, and the runs with the default values `gain` below."""
    own = trail(record(case, 0)["method"]["spec"], tried, **changes.pop("trail", {}))
    made = []
    for trial in own["trials"]:
        named = {"search": own["search"], "number": trial["number"], "params": trial["params"], "seeds": [1000]}
        metrics = {"val": {"top1": trial["score"]}} if trial["score"] is not None else {}
        reason = REASONS.get(trial["status"])
        training = record(case, 0)["training"] | {k: v for k, v in trial["params"].items() if k in TRAINED}
        made.append(
            record(case, 1000, phase="tune", trial=named, metrics=metrics, status=trial["status"], reason=reason,
                   training=training, tuning=None, **changes)
        )  # fmt: skip
    values = {"final": (own["chosen"] or {}).get("params"), "default": own["default"]}
    for phase in ("final", "default") if own["chosen"] and own["chosen"]["params"] != own["default"] else ("final",):
        for seed in seeds if own["chosen"] else ():
            run = record(case, seed)
            top1 = run["metrics"]["test"]["top1"] - gain * (phase == "default")
            training = run["training"] | {k: v for k, v in values[phase].items() if k in TRAINED}
            metrics = {"val": {"top1": top1 + 0.002 * (seed % 2)}, "test": {"top1": top1}}
            made.append(record(case, seed, phase=phase, training=training, tuning=own, metrics=metrics, **changes))
    return made


def failed(case: Case, seed: int = 0) -> dict[str, Any]:
    return record(case, seed, status="diverged", reason="loss | not finite\nat step 12", metrics={}, curve=[])


def keep(folder: Path, cases: list[Case], seeds: tuple[int, ...] = (0, 1, 2), **changes: Any) -> None:
    for case in cases:
        for seed in seeds:
            Records(folder).write(record(case, seed, **changes))


def text(folder: Path) -> str:
    return (folder / "README.md").read_text()


def boxes(figure: Any) -> list[tuple[str, Any]]:
    """Every text that is shown, with where it stands; ticks beyond the limits exist in matplotlib but are not drawn."""
    from matplotlib.text import Text

    beyond = set()
    for ax in figure.axes:
        for axis, number in ((ax.xaxis, 0), (ax.yaxis, 1)):
            low, high = sorted(axis.get_view_interval()) if ax.axison else (1.0, 0.0)
            ticks = [*axis.get_ticklabels(), *axis.get_ticklabels(minor=True)]
            beyond |= {tick for tick in ticks if not low <= tick.get_position()[number] <= high}
    renderer = figure.canvas.get_renderer()
    shown = [one for one in figure.findobj(Text) if one.get_text().strip() and one.get_visible()]
    return [(one.get_text(), one.get_window_extent(renderer)) for one in shown if one not in beyond]


def overlaps(figure: Any) -> list[str]:
    """What is wrong with where the texts of a figure stand."""
    figure.draw_without_rendering()
    found, frame, wrong = boxes(figure), figure.bbox, []
    for said, box in found:
        if not (frame.x0 - 1 <= box.x0 and box.x1 <= frame.x1 + 1 and frame.y0 - 1 <= box.y0 and box.y1 <= frame.y1):
            wrong.append(f"{said!r} leaves")
    for (one, first), (other, second) in combinations(found, 2):
        wide = min(first.x1, second.x1) - max(first.x0, second.x0)
        high = min(first.y1, second.y1) - max(first.y0, second.y0)
        if wide > 1 and high > 1:
            wrong.append(f"{one!r} overlaps {other!r}")
    return wrong


def jpeg(width: int = 96, height: int = 64) -> bytes:
    """A photograph of sorts."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).convert("RGB").save(buffer, "jpeg")
    return buffer.getvalue()


def detection(case: Case, seed: int = 0, **changes: Any) -> Any:
    """A record of a detector."""
    ap = record(case, seed)["metrics"]["test"]["top1"] - 0.5
    metrics = {"box_ap": ap, "ap50": ap + 0.2, "loss": 1.0}
    made = {
        "metrics": {"val": metrics, "test": metrics},
        "curve": [{"epoch": 1, "val": {"box_ap": ap}}],
        "tuning": None,
    }
    named = other_task("trees", metric="box_ap")
    return record(case, seed, **named | made | changes)


def example(picture: str, true: list[list[float]], found: list[list[float]], **changes: Any) -> dict[str, Any]:
    """What a record holds of one picture."""
    made = {"title": "OSBS_029 (0, 256)", "width": 96, "height": 64, "classes": ["tree"], "picture": picture}
    return made | {"true": true, "found": found} | changes
