"""Tables of what memory is made of, for `bench memory`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.costs.cuda_share import Share
    from bench.training.run import Run


def parts_of(breakdowns: Sequence[Mapping[str, int]]) -> tuple[list[str], list[list[str]]]:
    """Columns of a table of what memory is made of: their heads, and of each row their sizes.

    A part that is zero in every row, as a CPU's scratch space on CUDA, is left out.
    """
    from bench.costs.memory import PARTS
    from bench.costs.units import readable

    there = [part for part in PARTS if any(each[part] for each in breakdowns)]
    return there, [[readable(each[part]) for part in there] for each in breakdowns]


def print_share(found: Sequence[tuple[Run, Share]]) -> None:
    """What CUDA takes beside tensors."""
    from dataclasses import asdict

    from bench.cli.explanation import named
    from bench.costs.units import readable
    from bench.execution import console

    print("\nCUDA's own share of what nvidia-smi shows, each an estimate")
    rows = [(named(run), *map(readable, asdict(share).values())) for run, share in found]
    console.table(("method", "cuBLAS workspaces", "rounding", "fragmentation", "context"), rows, right=1)
    print(
        "rounding: of tensors to blocks of 512 bytes, at the peak; fragmentation: reserved and not in use then;\n"
        "context: a constant, with CUDA's kernels. cuDNN's workspaces, which convolutions have, come on top of it all"
    )
