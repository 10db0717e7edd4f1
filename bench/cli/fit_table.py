"""What fits into a memory, as a table: `bench memory --fit`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.cli.gpu_memory import Asked
    from bench.training.gpu_step import Setup
    from bench.training.memory_fit import Fit


def table(asked: Asked, setup: Setup, fit: str, *, as_json: bool) -> None:
    """What fits, row by row, with a bar while it is looked for."""
    import json
    from dataclasses import asdict

    from tqdm import tqdm

    from bench.costs.units import size
    from bench.training.memory_fit import BASES, CANDIDATES, cells, fitting, nothing_fits

    limit = size(fit)
    methods = tuple(run.method for run in asked.runs()) if asked.methods else CANDIDATES
    bases = (setup.base,) if asked.base or asked.precision == "fp32" else BASES
    again = (True,) if asked.checkpointing else (False, True)
    with tqdm(
        total=len(cells(methods, bases=bases, checkpointing=again)), unit="row", leave=False, disable=None
    ) as bar:

        def told(said: str) -> None:
            bar.set_postfix_str(said)
            bar.update()

        how = {"methods": methods, "setup": setup, "told": told}
        rows = list(fitting(asked.model, asked.task, limit, bases=bases, checkpointing=again, **how))  # type: ignore[arg-type]
    if not any(row.batch for row in rows):
        raise nothing_fits(rows, limit, repr(asked.model), setup.context)
    if as_json:
        print(json.dumps([asdict(row) for row in rows]))
    else:
        _print_table(rows, asked, setup, fit)


def _print_table(rows: list[Fit], asked: Asked, setup: Setup, fit: str) -> None:
    from bench.costs.published import MARGIN
    from bench.costs.units import readable
    from bench.execution import console

    length = getattr(asked.model, "max_length", None)
    lines = []
    for row in rows:
        taken = readable(row.bytes) if row.batch else f"{readable(row.bytes)} for one"
        longest = [f"{row.length:,}" if row.length else "–"] if length else []
        blocks = "yes" if row.checkpointing else "no"
        lines.append((row.method, row.base, blocks, f"{row.batch:,}" if row.batch else "none", taken, *longest))
    head = (
        "method",
        "base",
        "checkpointing",
        "largest batch",
        "allocated",
        *(["longest text, alone"] if length else []),
    )
    console.table(head, lines, right=3)
    kind = getattr(asked.task, "loss_kind", "")
    said = [f"{length:,} tokens a text" if length else "", f"{setup.attention} attention", setup.optimizer]
    said += [f"loss {kind}"] if kind else []
    print(f"\nwhat fits {fit}: {', '.join(each for each in said if each)}; estimated for CUDA from shapes")
    print(
        f"{readable(setup.context)} for CUDA itself and {MARGIN:.0%} of the rest are left free: as far below a "
        "published figure an estimate was seen (bench published)"
    )
    if kind:
        print("a probe is a classifier on the model's features, and has no loss of tokens")
