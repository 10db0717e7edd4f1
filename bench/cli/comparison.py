"""What the records say: `bench compare`, `bench claims` and `bench statements`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli.authoring import From, use
from bench.cli.services import RESULTS, Results
from bench.cli.studies import (
    CLAIMS,
    STATEMENTS,
    Folder,
    complete_method,
    complete_scale,
    complete_study,
    declared,
    files,
)
from bench.errors import BadInput, nearest, unknown

if TYPE_CHECKING:
    from bench.report.claims import Claim, Evidence, Finding
    from bench.report.data.groups import Group
    from bench.report.power import Size

Scale = Annotated[
    str, typer.Option(help="Whose records: smoke, laptop, overnight or full.", autocompletion=complete_scale)
]

ALL_SAMPLES = 2_000
"""Assumed of a test part that a study does not cut: about what the sets of the registry hold."""


def claims(
    scale: Scale = "laptop",
    results: Results = RESULTS,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
    power: Annotated[
        bool, typer.Option("--power", help="Print what each rule can decide at the size that studies plan at --scale.")
    ] = False,
    figure: Annotated[
        Path | None, typer.Option(help="Draw all verdicts as a forest plot into this folder.", show_default=False)
    ] = None,
    studies: Folder = None,
) -> None:
    """Hold published claims against the records: CONFIRMED, REFUTED, NO BETTER or INCONCLUSIVE.

    The claims, with their sources and the rules that decide, stand in studies/claims.py.

    Examples: `bench claims --json`, `bench claims --power --scale full`
    """

    from bench.records import at_scale
    from bench.report.claims import Evidence, judged, load
    from bench.report.rules import VERDICTS

    if power:
        _print_power(scale, results, studies)
        return
    at_scale(results, scale)
    evidence = Evidence(_folder(results), scale)
    found = judged(load(declared(CLAIMS, studies)), evidence)
    if figure:
        _draw(found, scale, figure)
    if as_json:
        _print_json(found)
        return
    for claim, finding in found:
        _print_claim(claim, finding, evidence.behind(finding))
    counts = [sum(finding.verdict == verdict for _, finding in found) for verdict in VERDICTS]
    print(", ".join(f"{n} {verdict.lower()}" for n, verdict in zip(counts, VERDICTS, strict=True)), f"({scale})")
    _print_protocols(evidence)


def _print_protocols(evidence: Evidence) -> None:
    """Of which protocol the records are that decide, study by study."""
    there = sorted(path.parent.name for path in evidence.results.glob(f"*/{evidence.scale}"))
    for protocol, names in evidence.protocols(there).items():
        print(f"protocol {protocol}: {', '.join(names)}")


def _draw(found: Sequence[tuple[Claim, Finding]], scale: str, folder: Path) -> None:
    """claims.png, .svg and .pdf."""
    from bench.report.figures.verdicts import Row, forest

    rows = [
        Row(
            claim.name, finding.verdict, 100 * effect, (100 * low, 100 * high),
            None if claim.effect is None or claim.assumed else 100 * claim.effect,
        )
        for claim, finding in found for effect, (low, high) in finding.effects
    ]  # fmt: skip
    if not rows:
        raise BadInput(f"no claim has records at scale {scale}: run a study first, e.g. bench run rank-sweep")
    forest(rows, f"scale {scale}").save(folder, "claims")


def _print_json(found: Sequence[tuple[Claim, Finding]]) -> None:
    """Every claim with its answer, for scripts."""
    import json

    keys = ("name", "statement", "source", "theirs", "rule", "effect", "assumed", "counter")
    rows: list[dict[str, Any]] = [
        {key: getattr(claim, key) for key in keys}
        | {"verdict": finding.verdict, "ours": finding.ours, "runs": len(finding.runs)}
        for claim, finding in found
    ]
    print(json.dumps(rows, indent=2, ensure_ascii=False))


def _print_power(scale: str, results: Path, studies: Path | None) -> None:
    """Of each claim, from the sizes that the studies declare and variances of the committed records."""
    from bench.report.claims import Evidence, load
    from bench.report.power import lines

    planned, evidence = _planned(scale, studies), Evidence(_folder(results), "laptop")
    for claim in load(declared(CLAIMS, studies)):
        print(claim.name)
        for line in lines(claim, planned, evidence):
            print(f"  {line}")


def _planned(scale: str, studies: Path | None) -> dict[str, Size]:
    """By study: seeds, the mean of its classification tasks' test parts, and how many of these there are."""
    from bench.report.power import Size
    from bench.study.study import load, scales_of

    found = {}
    for name, file in files(studies).items():
        if scale not in scales_of(file):
            continue
        parts = [part for part in load(file, scale) if part.family != "detection" and not part.costs]
        tests = [int(getattr(task, "test", None) or ALL_SAMPLES) for part in parts for task in part.tasks]
        if tests:
            found[name] = Size(min(len(part.seeds) for part in parts), sum(tests) // len(tests), len(tests))
    return found


def _print_claim(claim: Claim, finding: Finding, runs: str) -> None:
    """One claim: verdict, statement, and what stands behind it."""
    import textwrap

    print(f"{finding.verdict:<13} {claim.statement}")
    said = {
        **{"source": claim.source, "theirs": claim.theirs, "ours": finding.ours, "rule": claim.rule},
        **{"counter": claim.counter, "runs": runs},
    }
    for name, text in said.items():
        if text:
            head = f"{'':14}{name + ':':<9}"
            print(textwrap.fill(text, 116, initial_indent=head, subsequent_indent=" " * len(head)))
    print()


def statements(
    write: Annotated[bool, typer.Option("--write", help="Put the numbers of the records into the documents.")] = False,
    results: Results = RESULTS,
    studies: Folder = None,
) -> None:
    """Hold the results that README.md and the studies state in words against the records.

    The sentences stand in studies/statements.py, their numbers as queries. Where words no longer hold, mend them there
    and in their document.

    Example: `bench statements --write`
    """
    from bench.report.statements import rewrite, wrong
    from bench.study.study import loaded

    file = declared(STATEMENTS, studies)
    known = loaded("studies.statements", file).STATEMENTS
    root = file.absolute().parent.parent
    found = list((rewrite if write else wrong)(known, root=root, results=_folder(results)))
    print("\n".join(found) if found else f"all {len(known)} statements hold")
    if found:
        raise typer.Exit(1)


def compare(
    one: Annotated[
        str,
        typer.Argument(help='A method, e.g. "LoRA(rank=8)".', show_default=False, autocompletion=complete_method),
    ],
    other: Annotated[
        str,
        typer.Argument(help="Another method, e.g. FullFineTuning.", show_default=False, autocompletion=complete_method),
    ],
    study: Annotated[
        str | None,
        typer.Option(help="Only this study's records; by default all.", autocompletion=complete_study),
    ] = None,
    scale: Scale = "laptop",
    results: Results = RESULTS,
    plugins: From = None,
) -> None:
    """Compare two methods on every task that has records of both: the paired difference, its interval, the costs.

    Examples: `bench compare "LoRA(rank=8)" FullFineTuning`, `bench compare BitFit "LoRA(rank=1)" --study rank-sweep`
    """
    from bench.report.compare import compared
    from bench.report.data.groups import what

    use(plugins)
    pairs = [_fields(one), _fields(other)]
    found = set[tuple[str, ...]]()
    parts = _groups(_folder(results), study, scale)
    for name, group in parts:
        if group.older and (name, *what(group)) in found:
            continue  # a later protocol has both
        first, second = (next((c for c in group.configurations if _is(c, *wanted)), None) for wanted in pairs)
        if first and second and first is not second:
            print(f"{name}: " + "\n".join(compared(group, first, second)) + "\n")
            found.add((name, *what(group)))
    if not found:
        raise BadInput(f"no task has records of both {one} and {other} at scale {scale}; {_near((one, other), parts)}")


def _near(asked: Sequence[str], parts: Sequence[tuple[str, Group]]) -> str:
    """The few recorded methods that are written most alike, and who lists all."""
    from bench.report.compare import labels

    known = list(labels([group for _, group in parts]))
    if not known:
        return "there are none at all: run a study first, e.g. bench run rank-sweep"
    near = [label for name in asked for label in nearest(name, known)] or known
    return f"recorded are, for example, {', '.join(list(dict.fromkeys(near))[:6])}"


def _folder(results: Path) -> Path:
    if not results.is_dir():
        raise BadInput(f"no folder {str(results)!r}: name the one with the records, --results")
    return results


def _fields(text: str) -> tuple[str, dict[str, Any]]:
    """A method's name and all its fields, as records have them."""
    import json

    from bench.methods import METHODS
    from bench.spec import parse

    method = parse(text, known=METHODS, kind="method")
    return type(method).__name__, json.loads(json.dumps(method.config))


def _is(configuration: Any, name: str, fields: dict[str, Any]) -> bool:
    """Whether it is that method with those fields; what was tuned is not asked."""
    own = configuration.config
    asked = {key: value for key, value in fields.items() if key not in configuration.searched}
    return configuration.name == name and all(own.get(key) == value for key, value in asked.items())


def _groups(results: Path, study: str | None, scale: str) -> list[tuple[str, Group]]:
    """Every group with scores, of one study or of all; of a study those of older protocols last."""
    from bench.records import Records, at_scale
    from bench.report.data.groups import groups

    folders = at_scale(results, scale)
    if study is not None:
        name = study.replace("_", "-")
        if name not in folders:
            raise unknown(f"study with records at scale {scale}", name, folders)
        folders = {name: folders[name]}
    every = ((name, group) for name, folder in folders.items() for group in groups(Records(folder).all()))
    return [(name, group) for name, group in every if group.configurations and not group.costs]
