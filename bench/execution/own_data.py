"""`bench try`: from data of one's own to a recommendation with its reasons, within a budget of time and memory."""

from __future__ import annotations

import json
import re
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.costs.units import readable
from bench.errors import BadInput, shown, unknown
from bench.execution import console
from bench.execution.callbacks import never
from bench.execution.keeping import Keeping
from bench.execution.launch import alone, carry_out, check_portable, fetch
from bench.execution.pace import TRIES, Slower, only, resized, smaller_still, watch
from bench.execution.parallelism import Workers, available, share_out
from bench.execution.sample_notes import described
from bench.execution.smaller_parts import measure
from bench.execution.tried import Tried
from bench.methods import METHODS
from bench.records import PROTOCOL, Records, write_atomically
from bench.report.data.advice import advice
from bench.report.page.own_data import ABOUT, OwnData, gathered, write_page
from bench.spec import parse
from bench.study.own_data import Size, backbone, bought, candidates, image_sizes, sized, smallest, study
from bench.study.plan import Row, estimated, hours_minutes, plan
from bench.study.study import Study
from bench.tasks.data_summary import lines
from bench.tasks.recognise import recognise
from bench.training.device import choose_device, environment

SCALE = "laptop"
"""Whose folder the records go to, so that every other command finds them."""
PLAN = "plan.json"
"""What was decided by timing, beside the records: a second call goes on with it."""
BUDGET = 20 * 60.0
METRICS = {
    "images": ("top1", "macro_f1", "loss", "ece"),
    "text": ("top1", "macro_f1", "loss", "ece"),
    "detection": ("box_ap", "ap50", "ap75", "ar100", "loss"),
}
"""That may be asked for, by family."""


@dataclass(frozen=True)
class Wanted:
    """What is asked for.

    Args:
        path: of the data.
        text, label: columns of a table; None to find them.
        budget: seconds.
        memory: bytes that training may take; None for what is free.
        metric: what is to be good, on test; "" for the task's own.
        model: a specification; None for the best whose weights are here.
        name: of the results; "" for the data's own.
        results: folder.
        device: torch device; None for a GPU if there is one.
        jobs: runs at once; None for as many as pay.
        mlflow: whether to log to MLflow.
    """

    path: str
    text: str | tuple[str, str] | None = None
    label: str | None = None
    budget: float = BUDGET
    memory: float | None = None
    metric: str = ""
    model: str | None = None
    name: str = ""
    results: Path = Path("results")
    device: str | None = None
    jobs: int | None = None
    mlflow: bool = False

    @property
    def command(self) -> str:
        """What asks for it again, whatever the budget."""
        text = self.text if self.text is None or isinstance(self.text, str) else ",".join(self.text)
        given = {
            **{"text": text, "label": self.label, "metric": self.metric, "model": self.model, "name": self.name},
            **{"memory": self.memory and f"{self.memory / 2**20:.0f}MiB"},
            **{"results": None if self.results == Path("results") else str(self.results)},
        }
        said = [part for key, value in given.items() if value for part in (f"--{key}", str(value))]
        return shlex.join(["bench", "try", self.path, *said])


def try_data(wanted: Wanted) -> Tried:
    """Recognises the data, plans within the budget, runs what is not recorded, and writes the page.

    Raises:
        BadInput: whatever can be known to be wrong before training; no method fits memory or budget.
    """
    begun = time.monotonic()
    found = recognise(wanted.path, text=wanted.text, label=wanted.label)
    task: Any = found.task
    print(f"{shown(wanted.path, 200)}: {found.said}", flush=True)
    summary = list(lines(task.understood()))
    print("\n".join(summary), flush=True)
    if wanted.metric and wanted.metric not in METRICS[task.family]:
        raise unknown(f"metric of {task.family}", wanted.metric, METRICS[task.family])
    model, why = backbone(task, wanted.model)
    print(f"backbone: {model!r}, {why}", flush=True)
    device, name = choose_device(wanted.device), f"try-{_slug(wanted.name or task.name)}"
    folder = Path(wanted.results) / name
    records = Records(folder / SCALE)
    workers = share_out(wanted.jobs, device, scale=SCALE, known=records.all())
    records.prepare()
    with alone(records.folder):
        part, rows, notes = _planned(wanted, folder, name, task, model, device=device, jobs=workers.jobs)
        part = _carried_out(wanted, part, rows, records, device=device, workers=workers)
        about = {
            **{"path": wanted.path, "scale": SCALE, "metric": wanted.metric, "limits": {"memory": wanted.memory}},
            **{"classes": list(task.understood().classes), "summary": summary},
            **{"said": [f"{found.said}.", f"backbone: `{model!r}`, {why}.", *notes]},
            **{"command": wanted.command, "results": str(wanted.results)},
        }
        data = gathered(folder, SCALE, about)
        if time.monotonic() - begun < wanted.budget:
            measure(part, data.found.recommended, folder, device=device, workers=workers)
        else:
            print("no time is left for the learning curve over data: the same command goes on with it")
        return _ended(data, task, folder, about)


def _carried_out(
    wanted: Wanted, part: Study, rows: Sequence[Row], records: Records, *, device: str, workers: Workers
) -> Study:
    """Shows the plan, and runs what is not recorded; a smaller one where runs take much longer than foreseen.

    Returns:
        What was run.
    """
    begun, again = time.monotonic(), TRIES
    while True:
        console.plan(part, SCALE, rows, device=device, jobs=workers.jobs)
        print(f"budget {hours_minutes(wanted.budget)}; Ctrl-C loses nothing, the same command goes on\n", flush=True)
        fetch(part)
        only(part, records)
        if workers.jobs > 1:
            check_portable([part])
        left = wanted.budget - (time.monotonic() - begun)
        try:
            carry_out(
                [part], SCALE, records, device=device, mlflow=wanted.mlflow, rows=rows, workers=workers,
                keeping=Keeping(records.folder), paced=watch(left) if again else never,
            )  # fmt: skip
            return part
        except Slower as slow:
            again -= 1
            left = wanted.budget - (time.monotonic() - begun)
            part, rows = smaller_still(
                part, rows, slow.pace, records.folder.parent / PLAN, left=left, jobs=workers.jobs
            )


def _ended(data: OwnData, task: Any, folder: Path, about: dict[str, Any]) -> Tried:
    """Keeps what the page needs of the data, writes it, and says the recommendation."""
    about = about | {"samples": described(data, task, Records(folder))}
    write_atomically(folder / ABOUT, json.dumps(about, indent=1, ensure_ascii=False))
    data = gathered(folder, SCALE, about)
    page = write_page(data)
    said = advice(data.found)
    print("\n" + "\n".join(f"{'' if at == 0 else '  '}{line}" for at, line in enumerate(said)))
    print(f"\nread {page}, or in a browser {page.with_name('report.html')}")
    return Tried.of(data, said, page)


def _slug(name: str) -> str:
    """A folder's name of any name."""
    made = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60]
    return made or "data"


def _planned(
    wanted: Wanted, folder: Path, name: str, task: Any, model: Any, *, device: str, jobs: int
) -> tuple[Study, list[Row], list[str]]:
    """The comparison that was decided before for the same request, else the largest that fits budget and memory."""
    request = {
        **{"task": repr(task), "model": repr(model), "budget": wanted.budget, "memory": wanted.memory, "jobs": jobs},
        **{"data": task.fingerprint(), "protocol": PROTOCOL},
        **{key: environment(device)[key] for key in ("device_name", "threads")},
    }
    known = _known(folder / PLAN, request)
    if known is not None:
        part = study(
            name, task, model, [parse(m, known=METHODS, kind="method") for m in known["methods"]], Size(**known["size"])
        )
        records = Records(folder / SCALE)
        return part, estimated(part, plan(part, records, timed=False, device=device), device=device), known["notes"]
    sizes = image_sizes(task, model, device)
    methods, left = candidates(task, sized(model, task, sizes[0]))
    notes = [f"left out, as it does not fit the network: {line}" for line in left]
    print("timing a few steps of each method", flush=True)
    limit = wanted.memory or available(device) / jobs
    start = smallest(task.sizes(), task.classes, sizes)
    small = study(name, task, model, methods, start)
    rows = _timed(small, limit, device)
    _refuse(rows, limit)
    size = bought(task, rows, start, sizes=sizes, budget=wanted.budget, jobs=jobs).size
    part = study(name, task, model, methods, size)
    if (part.models, part.training.batch_size) == (small.models, small.training.batch_size):
        rows = [resized(row, part) for row in rows]  # the same steps: neither time nor memory of one is another
    else:
        rows = _timed(part, limit, device)
    fit, dropped = _fitting(rows, limit)
    notes += [_size(part), *dropped]
    print("\n".join(notes), flush=True)
    part = replace(part, methods=tuple(row.cell.method for row in fit))
    kept = {"size": vars(size), "sizes": list(sizes), "methods": [repr(m) for m in part.methods], "notes": notes}
    write_atomically(folder / PLAN, json.dumps({"request": request, **kept}, indent=1))
    return part, fit, notes


def _timed(part: Study, limit: float, device: str) -> list[Row]:
    """A plan as if nothing were recorded: what is decided must not depend on it."""
    return estimated(
        part, plan(part, Records(Path("/nowhere")), timed=False, device=device), device=device, limit=limit
    )


def _known(path: Path, request: dict[str, Any]) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if found.get("request") == json.loads(json.dumps(request)) else None


def _fitting(rows: Sequence[Row], limit: float) -> tuple[list[Row], list[str]]:
    """What fits the memory, and of what does not a line each."""
    _refuse(rows, limit)
    left = [
        f"left out: {row.cell.method!r} needs about {readable(row.memory.peak)} to train in batches of "
        f"{row.memory.batch}, {readable(int(limit))} are allowed"
        for row in rows if not row.fits(limit) and row.memory
    ]  # fmt: skip
    return [row for row in rows if row.fits(limit) and not row.refused], left


def _refuse(rows: Sequence[Row], limit: float) -> None:
    """Refuses where not even the smallest candidate fits.

    Raises:
        BadInput: none does.
    """
    known = [row for row in rows if row.memory]
    if known and not any(row.fits(limit) for row in rows):
        least = min(known, key=lambda row: row.memory.peak if row.memory else 0)
        assert least.memory is not None
        raise BadInput(
            f"a memory of {readable(int(limit))} is too small: the smallest candidate, {least.cell.method!r}, needs "
            f"about {readable(least.memory.peak)} to train in batches of {least.memory.batch}; --memory "
            f"{least.memory.peak / 2**20 * 1.05:.0f}MiB would do"
        )


def _size(part: Study) -> str:
    """How large the comparison is, in a line."""
    (task,), (model,) = part.tasks, part.models
    train, val, test = task.sizes()
    at = f" at {model.image_size} px" if getattr(model, "image_size", None) else ""
    at = f" of at most {model.max_length} tokens" if getattr(model, "max_length", None) else at
    return (
        f"{len(part.methods)} methods on {train:,} training samples{at} ({val:,} to choose by, {test:,} to test on): "
        f"{part.tune.trials} trials of the learning rate each, the best go on (successive halving on seconds), "
        f"{part.training.epochs} epochs, then {len(part.seeds)} fresh seeds"
    )


__all__ = ["BUDGET", "Tried", "Wanted", "try_data"]
