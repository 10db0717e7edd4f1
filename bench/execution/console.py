"""Tables on the terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.costs.units import readable
from bench.execution.keeping import Keeping
from bench.execution.parallelism import available
from bench.records import Records
from bench.records.protocol import PROTOCOL
from bench.space import Space
from bench.study import Study
from bench.study.plan import Row, hours_minutes
from bench.study.simulation import Schedule, simulate, up_to


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, right: int | None = None) -> None:
    """Prints rows under a head; columns from `right` on are numbers. Piped output is as wide as it needs to be.

    Where a narrow terminal leaves too little room for names before the numbers, each stands on a line of its own.
    """
    console = Console()
    if not console.is_terminal:
        console = Console(width=200)
    elif right == 1 and _cramped(head, rows, console.width):
        _stacked(head, rows, console.width)
        return
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for i, name in enumerate(head):
        numeric = right is not None and i >= right
        drawn.add_column(name, justify="right" if numeric else "left", overflow="fold", no_wrap=numeric)
    for row in rows:
        drawn.add_row(*(escape(cell) for cell in row))
    console.print(drawn)


NAME = 24
"""Columns of a terminal that a name needs at least, where it has so many."""


def _cramped(head: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> bool:
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return width - sum(each + 2 for each in widths[1:]) < min(NAME, widths[0])


def _stacked(head: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> None:
    """Each row's name, and below it its numbers: under a head where they fit, else each behind its own."""
    widths = [max(map(len, column)) for column in zip(head[1:], *(row[1:] for row in rows), strict=True)]
    fits = sum(each + 2 for each in widths) <= width

    def aligned(cells: Sequence[str]) -> str:
        return "".join(f"  {cell:>{size}}" for cell, size in zip(cells, widths, strict=True))

    if fits:
        print(f"{head[0]}\n{aligned(head[1:])}")
    for name, *cells in rows:
        pairs = (f"{title} {cell}".replace(" ", "\xa0") for title, cell in zip(head[1:], cells, strict=True) if cell)
        said = ", ".join(pairs)
        indented = textwrap.fill(said, width, initial_indent="  ", subsequent_indent="  ", break_long_words=False)
        print(f"{textwrap.fill(name, width)}\n{aligned(cells) if fits else indented}".replace("\xa0", " "))


def plan(study: Study, scale: str, rows: Sequence[Row], *, device: str, jobs: int = 1) -> None:
    """Prints a plan: a row a cell, then the sum, for so many runs at once."""
    several = len(study.tasks) * len(study.models) > 1
    cells = []
    for row in rows:
        base = getattr(row.cell.model, "base", "fp32")
        model = row.cell.model.name + (f" in {base}" if base != "fp32" else "")
        name = repr(row.cell.method) + (f" on {model}, {row.cell.task.name}" if several else "")
        time = "" if row.seconds is None else hours_minutes(row.seconds)
        memory = readable(row.memory.peak) if row.memory else "refused" if row.refused else "?" if row.unknown else ""
        cells.append((name, f"{row.backbone:,}", f"{row.head:,}", str(row.done), str(row.todo), time, memory))
    head = ("method", "trains in backbone", "in head", "runs done", "to do", "time", "peak memory")
    print(f"\n{study.name}, {scale}, {study.family}: {study.question}\n")
    table(head, cells, right=1)
    todo = sum(row.todo for row in rows)
    print(f"\n{todo} runs to do on {device}, {sum(row.done for row in rows)} done")
    budget(study)
    for row in rows:
        if row.refused or row.unknown:
            print(f"warning: {row.cell.method!r} on {row.cell.model.name}: {row.refused or row.unknown}")
    too_much(rows, available(device))
    seconds = [row.seconds for row in rows]
    if todo and None not in seconds:
        at_once = f", {jobs} runs at once" if jobs > 1 else ""
        print(f"estimated time on this machine{at_once}: {hours_minutes(sum(s or 0.0 for s in seconds) / jobs)}")


def left_out(rows: Sequence[Row]) -> None:
    """Says which cells of a plan were not run, and why."""
    for row in rows:
        if row.refused:
            print(f"left out: {row.cell.method!r} on {row.cell.task.name}, {row.cell.model.name}: {row.refused}")


def places(records: Records, keeping: Keeping | None, rows: Sequence[Row]) -> None:
    """Says where records and trained weights go, which are kept and what they take."""
    print(f"records, table and figures: {records.folder}")
    if keeping is not None and keeping.which != "none" and rows:
        of = {"best": "each configuration's best seed", "all": "every final run"}[keeping.which]
        files = [(1 if keeping.which == "best" else row.finals, row) for row in rows if row.finals]
        size = readable(sum(4 * count * (row.backbone + row.head) for count, row in files))
        where = keeping.folder / "weights"
        print(f"weights of {of}: about {size}, at most {readable(keeping.limit)}, in {where} (--keep none: none)")
    print(flush=True)


def older(known: Sequence[Mapping[str, Any]]) -> None:
    """Says that records of older protocols are there, which spare no run."""
    old = [record["protocol"] for record in known if record["protocol"] < PROTOCOL]
    if old:
        print(
            f"\n{len(old)} of {len(known)} records here are of protocol {listed(sorted(set(old)))}. Runs are now made "
            f"by protocol {PROTOCOL} (bench/records/protocol.py says what changed), and no old record spares one. "
            "They are shown apart, and move to retired/ once all of a task and model is measured again"
        )


def too_much(rows: Sequence[Row], free: float) -> None:
    """Says which methods need more memory than is free."""
    for row in rows:
        if not row.fits(free) and row.memory:
            print(
                f"warning: {row.cell.method!r} needs about {readable(row.memory.peak)} to train, {readable(int(free))} "
                "are free: its runs will run out of memory. A smaller batch_size or "
                "Training(activation_checkpointing=True) needs less"
            )


def budget(study: Study) -> None:
    """Prints how every method is tuned and tested, or what of its costs is measured."""
    if study.costs:
        print(
            f"each cell: {study.costs.steps} timed steps in batches of {study.training.batch_size} on random weights "
            f"and inputs, then latency; memory on a GPU estimated for batches of {listed(study.costs.batches)}"
        )
        for model in study.costs.estimated:
            print(f"{model.name}: too large for steps, only its memory is estimated")
        return
    tune, tuned = study.tune, len(study.tune.seeds)
    pruned = "" if tune.pruner == "none" else f", {tune.pruner} pruning"
    searched = sorted(
        {name for cell in study.cells() for name in tune.space(cell.task, tune.representative(cell.method))}
    )
    seeds, length = len(study.seeds), f"{study.training.epochs} epoch{'s' * (study.training.epochs > 1)} each"
    if not tune.trials:
        print(f"nothing is tuned: each method with its default values on {seeds} seed{'s' * (seeds > 1)}; {length}")
        return
    others = len(tune.default_seeds(study.seeds))
    defaults = f", where these are others {others} with the default ones" if others else ""
    print(
        f"each method: {tune.trials} trials ({tune.sampler}{pruned}) over {', '.join(searched)} on {tuned} tuning "
        f"seed{'s' * (tuned > 1)}, then {seeds} fresh seeds with the chosen values{defaults}; {length}"
    )
    if shared := ", ".join(f"{name} = {value}" for name, value in tune.share.items()):
        print(f"tuned at {shared} and shared over it")


def listed(numbers: Sequence[int]) -> str:
    """Such as "1, 8 and 32"."""
    *first, last = map(str, numbers)
    return f"{', '.join(first)} and {last}" if first else last


def families(parts: Sequence[Study], rows: Sequence[Sequence[Row]], scale: str, *, jobs: int = 1) -> None:
    """Prints what the parts of a study take together, and how to run one family alone."""
    if len(parts) < 2:
        return
    seconds = [row.seconds for part in rows for row in part]
    total = sum(s or 0.0 for s in seconds)
    if None not in seconds and total:
        print(f"\nall {len(parts)} parts together: {hours_minutes(total / jobs)}")
    made = Path("Makefile").is_file() and Path("studies").is_dir()  # in the repository, where `bench` is in .venv/bin
    at = "" if scale == "laptop" else f" SCALE={scale}" if made else f" --scale {scale}"
    print("\none family alone:")
    name = parts[0].name
    one = f"make study-{name}{at} FAMILY=" if made else f"bench run {name}{at} --family "
    for family in dict.fromkeys(part.family for part in parts):
        print(f"  {one}{family}")


def running(about: Mapping[str, Any]) -> None:
    """Prints what runs of a study: an entry of `bench.execution.status.statuses`."""
    went = "running" if about["alive"] else "interrupted; the same command goes on from there"
    print(f"{about['study']} ({about['folder']}): {about['done']} of {about['todo']} runs done, {went}")
    rows = []
    for each in about["running"] if about["alive"] else ():
        since = (datetime.now(UTC) - datetime.fromisoformat(each["started"])).total_seconds()
        there = each["where"], f"epoch {each['epoch']} of {each['epochs']}", hours_minutes(since)
        rows.append(
            (each["run"], each["what"], str(each["seed"]), *(there if there[0] else ("waits for a worker", "", "")))
        )
    if rows:
        table(("run", "as", "seed", "where", "how far", "for"), rows)


def on_paper(schedule: Schedule, most: int) -> None:
    """Prints what a study takes on one worker, two, four and so on, and what binds it then."""
    runs, total = len(schedule.seconds), sum(schedule.seconds)
    print(
        f"\non paper, the whole study: {runs} runs, {hours_minutes(total)} of training and tests, the seconds of "
        f"{schedule.recorded} runs recorded, of the others estimated; workers all alike, without their start\n"
    )
    found = [simulate(schedule, workers) for workers in up_to(most)]
    rows = []
    for each in found:
        share = [f"{part / (each.workers * each.makespan):.1%}" for part in (each.bound, each.tail)]
        rows.append((str(each.workers), hours_minutes(each.makespan), f"{total / each.makespan:.1f} ×", *share))
    table(("workers", "makespan", "speed-up", "idle: trials wait", "idle: last runs"), rows, right=0)
    longest, name = schedule.chains[0]
    binds = next((each.workers for each in found if each.makespan < 1.1 * longest), None)
    print(
        f"\nno number of workers takes less than {hours_minutes(longest)}: the search of {name}, batch after batch, "
        f"then its longest run{'' if binds is None else f'; from {binds} workers on that is what binds'}"
    )


def assets(rows: Sequence[Mapping[str, Any]]) -> None:
    """Prints the assets: `bench.assets.rows()`."""
    cells = [
        (r["name"], r["kind"], r["what"], f"{r['size'] / 1e6:.1f} MB", r["licence"], "yes" if r["cached"] else "no")
        for r in rows
    ]
    table(("asset", "kind", "what", "download", "licence", "cached"), cells)


def first_line(cls: type) -> str:
    """First line of a docstring."""
    return (cls.__doc__ or "").strip().splitlines()[0]


def space(of: Space) -> str:
    """What is searched, in one line."""
    return ", ".join(f"{name} {one}" for name, one in of.items())
