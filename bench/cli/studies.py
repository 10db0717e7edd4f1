"""Where the files of studies are found, what the shell completes, and `bench studies`. Nothing here imports torch."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from bench.errors import BadInput, unknown

HERE = Path("studies")
CODE = Path(__file__).parents[1]
CLAIMS, STATEMENTS = "claims.py", "statements.py"

Folder = Annotated[
    Path | None,
    typer.Option(
        "--studies",
        help="Look for the study in this folder alone. By default: in studies/ here, then among those that come with "
        "LoRA Bench.",
        show_default=False,
    ),
]


def shipped() -> Path:
    """The studies that come with the package: inside it where it is installed, beside it in a checkout."""
    inside = CODE / "studies"
    return inside if inside.is_dir() else CODE.parent / "studies"


def folders(named: Path | None) -> list[Path]:
    """The folders to look in, the first one first.

    Raises:
        BadInput: the folder that was named does not exist.
    """
    if named is not None:
        if not named.is_dir():
            raise BadInput(f"--studies {str(named)!r}: there is no such folder")
        return [named]
    return [folder for folder in dict.fromkeys((HERE, shipped())) if folder.is_dir()]


def files(named: Path | None = None) -> dict[str, Path]:
    """Every study's file by the study's name. Of two with one name the one that is found first counts.

    Args:
        named: the folder to look in; by default `studies/` here, then those that come with the package.
    """
    found: dict[str, Path] = {}
    for folder in folders(named):
        for path in sorted(folder.glob("*.py")):
            if "\ndef study(" in path.read_text(encoding="utf-8"):  # claims.py declares something else
                found.setdefault(path.stem.replace("_", "-"), path)
    return found


def find(name: str, named: Path | None) -> Path:
    """The file of a study; "rank-sweep" and "rank_sweep" are the same.

    Raises:
        BadInput: no such study (did you mean).
    """
    known, key = files(named), name.replace("_", "-")
    if key not in known:
        raise unknown("study", name, known)
    return known[key]


def declared(file: str, named: Path | None) -> Path:
    """A file beside the studies that is none of them: the published claims, the statements.

    Raises:
        BadInput: none of the folders has one.
    """
    looked = folders(named)
    for folder in looked:
        if (folder / file).is_file():
            return folder / file
    raise BadInput(f"no {file} in {' or '.join(map(str, looked)) or 'any folder'}: name its folder with --studies")


def question(path: Path) -> str:
    """The first line of a study's docstring: what it asks."""
    said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return said.partition("\n")[0]


def studies(named: Folder = None) -> None:
    """List the studies that can be run, and the question that each answers.

    Example: `bench studies`
    """
    from bench.execution import console

    found = files(named)
    console.table(("study", "what it asks", "file"), [(name, question(at), str(at)) for name, at in found.items()])
    print("\nnext: bench plan STUDY shows what would run and how long it takes; bench run STUDY runs it")


def complete_study(incomplete: str) -> Iterator[str]:
    """For the shell: names of studies."""
    return (name for name in files() if name.startswith(incomplete.replace("_", "-")))


def complete_scale(incomplete: str) -> Iterator[str]:
    """For the shell: the scales."""
    return (name for name in ("smoke", "laptop", "overnight", "full") if name.startswith(incomplete))


def complete_method(incomplete: str) -> Iterator[str]:
    """For the shell: names of methods, read off the table of contents of `bench/methods`, which would import torch."""
    contents = ast.parse((CODE / "methods" / "__init__.py").read_text(encoding="utf-8"))
    imported = [line.names for line in contents.body if isinstance(line, ast.ImportFrom)]
    names = [alias.name for each in imported for alias in each if alias.name[0].isupper() and alias.name != "Method"]
    return (name for name in sorted(names) if name.lower().startswith(incomplete.lower()))


def complete_family(incomplete: str) -> Iterator[str]:
    """For the shell: the families of tasks."""
    return (name for name in ("images", "text", "detection") if name.startswith(incomplete))
