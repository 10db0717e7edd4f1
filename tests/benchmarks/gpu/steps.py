"""Training steps on a GPU: LoRA by us and by peft, full fine-tuning, and the limit, as CSV."""

from __future__ import annotations

import csv
import time
from pathlib import Path
from typing import Annotated

import typer

from bench.execution import console
from tests.benchmarks import lora_step


def main(
    file: Annotated[Path, typer.Argument(help="CSV that is written.")],
    device: str = "cuda",
    rehearsal: Annotated[bool, typer.Option(help="Small shapes, for a machine without a GPU.")] = False,
    seconds: Annotated[float, typer.Option(help="After so many no case is begun.")] = 300.0,
) -> None:
    """Times them in turn; a case is written as soon as it is known, and one that is not reached is said."""
    end = time.monotonic() + seconds
    head = ("step", "median time", "ratio to the limit")
    with file.open("w", newline="") as out:
        table = csv.writer(out)
        table.writerow(head)
        for case in lora_step.REHEARSAL if rehearsal else lora_step.ON_GPU:
            if time.monotonic() > end:
                left_out = f"{case.title}: left out, not begun within {seconds:.0f} s"
                table.writerow((left_out, "", ""))
                print(left_out)
                continue
            rows = lora_step.run(3 if rehearsal else 20, cases=(case,), device=device)
            table.writerows(rows)
            out.flush()
            console.table(head, rows, right=1)


if __name__ == "__main__":
    typer.run(main)
