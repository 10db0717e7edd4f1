"""`bench recommend`: which method to use, from records that are there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli.services import RESULTS, Results
from bench.cli.studies import complete_scale, complete_study
from bench.errors import BadInput, unknown

if TYPE_CHECKING:
    from bench.report.data.recommended import Recommendation

Study = Annotated[
    str | None, typer.Option(help="Whose records; by default every study's.", autocompletion=complete_study)
]
Scale = Annotated[str, typer.Option(help="smoke, laptop, overnight or full.", autocompletion=complete_scale)]
Memory = Annotated[str | None, typer.Option(help="Training may take so much, e.g. 4GiB.", show_default=False)]
Parameters = Annotated[
    str | None, typer.Option(help="So many may train in the backbone, e.g. 1M or 300k.", show_default=False)
]
Latency = Annotated[
    str | None, typer.Option(help="A sample may take so long once trained, e.g. 20ms.", show_default=False)
]
Metric = Annotated[
    str | None, typer.Option(help="What is to be good, e.g. macro_f1; by default the task's own.", show_default=False)
]
Cheapest = Annotated[str, typer.Option(help="What is meant by it: parameters, memory, time or latency.")]


def recommend(
    study: Study = None,
    scale: Scale = "laptop",
    memory: Memory = None,
    parameters: Parameters = None,
    latency: Latency = None,
    metric: Metric = None,
    cheapest: Cheapest = "parameters",
    results: Results = RESULTS,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Recommend a method from records that are there: the cheapest that is as good as the best, with the reasons.

    Where the records cannot decide it says so, and what would. Seeds and test samples are both accounted for.

    Examples: `bench recommend --study rank-sweep`, `bench recommend --study rank-sweep --memory 150MiB`,
    `bench recommend --study placement --parameters 1M --metric macro_f1`
    """
    from bench.costs.units import number, seconds, size
    from bench.report.data.recommended import Limits

    limits = Limits(
        memory=size(memory) if memory else None,
        parameters=number(parameters) if parameters else None,
        latency=seconds(latency) if latency else None,
    )
    found = recommendations(study, scale, results, limits=limits, metric=metric or "", by=cheapest)
    if as_json:
        print(_json(found))
        return
    for name, each in found:
        show(name, each)


def recommendations(study: str | None, scale: str, results: Any, **options: Any) -> list[tuple[str, Recommendation]]:
    """Of every task of a study, or of all, with its name.

    Raises:
        BadInput: no records, or nothing is within the limits on any task.
    """
    from bench.records import Records, at_scale
    from bench.report.data.groups import groups, scored
    from bench.report.data.names import headings
    from bench.report.data.recommended import recommend as of_group

    folders = at_scale(results, scale)
    if study is not None:
        name = study.replace("_", "-")
        if name not in folders:
            raise unknown(f"study with records at scale {scale}", name, folders)
        folders = {name: folders[name]}
    found: list[tuple[str, Recommendation]] = []
    problems: list[BadInput] = []
    for name, folder in folders.items():
        parts = scored(groups(Records(folder).all()))
        for group, heading in zip(parts, headings(parts), strict=True):
            try:
                found.append((f"{name}: {heading}", of_group(group, **options)))
            except BadInput as error:
                problems.append(error)
    if not found:
        raise (
            problems[0]
            if problems
            else BadInput(
                f"no tested run under {str(results)!r} at scale {scale}: run a study first, e.g. bench run rank-sweep"
            )
        )
    for problem in problems:
        print(f"left out: {problem}")
    return found


def show(name: str, found: Recommendation) -> None:
    """The recommendation, then a row a configuration."""
    from bench.report import style
    from bench.report.data.advice import advice, score
    from bench.report.data.recommended import milliseconds
    from bench.report.tables.recommended import frame

    first, *others = advice(found)
    print(f"{name} ({found.group.device})\n\n  {first}")
    print("".join(f"  {line}\n" for line in others))
    rows = []
    for row in frame(found).to_dict("records"):
        sure = row["low"] == row["low"] and row["low"] is not None
        interval = f"{score(found.metric, row['low'])} to {score(found.metric, row['high'])}" if sure else "one seed"
        costs = [
            shown(row[key]) if row[key] is not None and row[key] == row[key] else ""
            for key, shown in (
                ("backbone_parameters", style.count), ("memory", style.size), ("seconds", style.seconds),
                ("latency", milliseconds), ("stored", style.size),
            )
        ]  # fmt: skip
        mark = "→ " if row["recommended"] else "  "
        rows.append((mark + row["method"], row["verdict"], score(found.metric, row["score"]), interval, *costs))
    head = ("method", "against the best", style.metric_name(found.metric), "95 % interval")
    rows.insert(0, (*head, "backbone", "memory", "training", "latency", "to store"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for each in rows:
        aligned = (
            cell.ljust(n) if at < 2 else cell.rjust(n) for at, (cell, n) in enumerate(zip(each, widths, strict=True))
        )
        print("  ".join(aligned).rstrip())
    print()


def _json(found: list[tuple[str, Recommendation]]) -> str:
    import json

    from bench.report.data.advice import advice
    from bench.report.tables.recommended import frame

    told = [
        {
            **{"name": name, "metric": each.metric, "recommended": each.recommended.runs[0]["method"]["spec"]},
            **{"decided": each.choice.decided, "advice": advice(each)},
            "configurations": json.loads(frame(each).to_json(orient="records")),
        }
        for name, each in found
    ]
    return json.dumps(told, indent=2, ensure_ascii=False)
