"""Methods of one's own: `--from` of other commands, and `bench new method`. Nothing here imports torch."""

from __future__ import annotations

import keyword
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.method_template import METHOD, ROWS
from bench.cli.studies import complete_method
from bench.errors import BadInput, shown

if TYPE_CHECKING:
    from bench.methods import Method

From = Annotated[
    list[str] | None,
    typer.Option(
        "--from",
        help="Take up a method of yours: rescale.py, or package.module:Rescale; in a study it joins the methods there. "
        "May be said several times.",
        show_default=False,
        metavar="FILE | MODULE:NAME",
    ),
]

new_app = typer.Typer(
    no_args_is_help=True, help="Write the file of something new, to be filled in.\n\nExample: bench new method Rescale"
)


def use(sources: Sequence[str] | None) -> list[Method]:
    """Takes up what installed packages declare and what `--from` names. Returns the methods of the latter.

    Raises:
        BadInput: one that is named cannot be had.
    """
    from bench.study.plugins import installed, load

    installed()
    return list(dict.fromkeys(method for source in sources or () for method in load(source)))


@new_app.callback()
def new() -> None:
    """Write the file of something new, to be filled in."""


@new_app.command()
def method(
    name: Annotated[str, typer.Argument(help="Of the class, e.g. Rescale.", show_default=False)],
    folder: Annotated[Path, typer.Option(help="Where to write it.")] = Path(),
) -> None:
    """Write a method from a template: docstring, search space, a branch that merges; and its row of checks beside it.

    It runs as it is. `bench check NAME --from FILE` checks it, `bench run STUDY --from FILE` compares it.

    Example: `bench new method Rescale`
    """
    said = shown(name, 60)
    if not re.fullmatch(r"[A-Z]\w*", name, re.ASCII) or keyword.iskeyword(name):
        raise BadInput(f"{said!r} is no name of a class: write it as Rescale or MyMethod")
    if name in (*complete_method(""), "Method"):
        raise BadInput(f"{name} is the name of a method already: bench methods lists them")
    if not folder.is_dir():
        raise BadInput(f"--folder {str(folder)!r}: there is no such folder")
    module = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
    if keyword.iskeyword(module):
        raise BadInput(f"{said!r}: its file {module}.py could not be imported; give it another name")
    files = {folder / f"{module}.py": METHOD, folder / f"test_{module}.py": ROWS}
    for path in files:
        if path.exists():
            raise BadInput(f"{path} is there already: nothing is written over it")
    for path, text in files.items():
        path.write_text(text.replace("NAME", name).replace("MODULE", module), encoding="utf-8")
    first, test = files
    print(
        f"{first}: the method, to be filled in\n{test}: its row of checks, for pytest\n\n"
        f"next: bench check {name} --from {first}\n      bench count {name} --from {first}\n"
        f"      bench run rank-sweep --scale smoke --from {first} --results build/mine"
    )
