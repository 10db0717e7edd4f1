"""The documentation holds: the links, files, commands, options and imports that it names are there. Its numbers are in
`tests/test_statements.py`."""

from __future__ import annotations

import ast
import re
import shlex
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from bench.cli import app

ROOT = Path(__file__).parent.parent
TOPS = ("bench", "studies", "tests")
BESIDE = [file for top in TOPS for file in (ROOT / top).rglob("*.md")]
PAGES = sorted(page for page in (*ROOT.glob("*.md"), *BESIDE) if page.name != "CHANGELOG.md")  # which tells of the past
GUIDES = ("studies/mine.py", "bench/methods/rescale.py", "bench.methods.rescale.Rescale")
"""What a reader is told to write."""
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.S | re.M)
LINK = re.compile(r"\]\(([^)\s]+)\)")
SPAN = re.compile(r"`([^`\n]+)`")


def each(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def spans(page: Path) -> list[str]:
    return SPAN.findall(prose(page))


def lines(page: Path) -> Iterator[str]:
    """What stands in blocks without a language: commands and what they print; a remark behind two blanks is cut off."""
    for language, block in FENCE.findall(page.read_text(encoding="utf-8")):
        if not language:
            yield from (re.split(r"\s{2,}#", line)[0].removeprefix("$ ").rstrip() for line in block.splitlines())


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


pages = pytest.mark.parametrize("page", PAGES, ids=each)


@pages
def test_links_lead_somewhere(page: Path) -> None:
    wrong = []
    for link in LINK.findall(prose(page)):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if "://" in link:
            continue
        if not target.exists() or (anchor and anchor not in anchors(target)):
            wrong.append(link)
    assert not wrong


@pages
def test_lines_are_short(page: Path) -> None:
    assert [line for line in page.read_text(encoding="utf-8").splitlines() if len(line) > 120] == []


def named_paths(text: str) -> set[str]:
    """Files and folders of this repository that a text names, but not placeholders: `studies/NAME.py`."""
    found = re.findall(r"(?<![\w/.<])((?:bench|studies|tests)/[\w/]*(?:\w\.py|\w\.md|/))", text)
    return {path for path in found if not re.search(r"[A-Z]{2,}\.py", path)}


def named_modules(text: str) -> set[str]:
    return set(re.findall(r"`(bench(?:\.\w+)+)", text))


@cache
def names_in(file: Path) -> frozenset[str]:
    """What a module defines or imports, read and not run: importing all would take seconds."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.Name(id=name, ctx=ast.Store()):
                found.add(name)
            case ast.ImportFrom(names=aliases) | ast.Import(names=aliases):
                found |= {alias.asname or alias.name for alias in aliases}
    return frozenset(found)


def known(module: str) -> bool:
    """Whether a dotted name is a module of bench, or a name in one."""
    path = ROOT.joinpath(*module.split("."))
    if path.is_dir() or path.with_suffix(".py").is_file() or module in GUIDES:
        return True
    above, _, name = module.rpartition(".")
    if not above:
        return False
    path = ROOT.joinpath(*above.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return name in names_in(file) if file.is_file() else known(above)  # of a field or a method, its class


SOURCES = [*PAGES, *(file for top in ("bench", "studies") for file in sorted((ROOT / top).rglob("*.py")))]


def test_files_that_are_named_exist() -> None:
    wrong = [
        f"{each(file)}: {path}"
        for file in (*SOURCES, ROOT / "Makefile", ROOT / ".ci/run")
        for path in sorted(named_paths(file.read_text(encoding="utf-8")))
        if not (ROOT / path).exists() and path not in GUIDES
    ]
    assert not wrong, "\n".join(wrong)


def test_names_that_are_said_to_stand_in_a_file_do() -> None:
    """Such as `METRICS` in `bench/report/style.py`, or `space` of it."""
    path = r"`((?:bench|studies|tests)/[\w/]+\.py)`"
    said = re.compile(rf"`(\w+)`\s+(?:in|of)\s+{path}|`(\w+)`\s+\({path}\)")
    wrong = []
    for page in PAGES:
        for one, file, two, other in said.findall(page.read_text(encoding="utf-8")):
            if (one or two) not in names_in(ROOT / (file or other)):
                wrong.append(f"{each(page)}: {one or two} in {file or other}")
    assert not wrong, "\n".join(wrong)


def test_modules_that_are_named_exist() -> None:
    wrong = [
        f"{each(file)}: {module}"
        for file in SOURCES
        for module in sorted(named_modules(file.read_text(encoding="utf-8")))
        if not known(module)
    ]
    assert not wrong, "\n".join(wrong)


@pages
def test_code_is_python_and_imports_what_there_is(page: Path) -> None:
    for language, block in FENCE.findall(page.read_text(encoding="utf-8")):
        tree = ast.parse(textwrap.dedent(block)) if language == "python" else ast.Module([], [])
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] == "bench":
                assert all(known(f"{node.module}.{alias.name}") for alias in node.names), ast.unparse(node)


# Commands

COMMANDS: Any = typer.main.get_command(app)


def command(words: list[str]) -> tuple[Any, list[str]]:
    """The command that the first words name, and the rest."""
    found = COMMANDS
    while words and hasattr(found, "commands") and not words[0].startswith("-"):
        assert words[0] in found.commands, f"no command {words[0]!r}"
        found, words = found.commands[words[0]], words[1:]
    return found, words


def parsed(text: str, *, whole: bool) -> None:
    """Parses a command line as `bench` would; nothing runs. Where not `whole`, arguments may be missing."""
    found, words = command(shlex.split(text)[1:])
    if (whole or words) and not {"--help", "--version"} & set(words):  # these print and leave
        found.make_context("bench", words)


@pages
def test_commands_parse(page: Path) -> None:
    for line in lines(page):
        if line.startswith("bench "):
            parsed(line, whole=True)
    for span in spans(page):
        if re.match(r"bench [a-z]", span):
            parsed(span, whole=False)


@pages
def test_options_exist(page: Path) -> None:
    todo, options = [COMMANDS], {"--help", "--version"}
    while todo:
        one = todo.pop()
        todo += getattr(one, "commands", {}).values()
        options |= {text for parameter in one.params for text in (*parameter.opts, *parameter.secondary_opts)}
    named = {word for span in spans(page) if span.startswith("--") for word in re.findall(r"--[\w-]+", span)}
    assert named <= options


@pages
def test_make_targets_and_variables_exist(page: Path) -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", text, re.M))
    variables = set(re.findall(r"^([A-Z]+) \?=", text, re.M)) | set(re.findall(r"\$\(([A-Z]+)\)", text))
    studies = {file.stem.replace("_", "-") for file in (ROOT / "studies").glob("*.py")} | {"mine", "my-texts"}
    for line in (*lines(page), *spans(page)):
        if not line.startswith("make "):
            continue
        target, *values = shlex.split(line)[1:]
        assert target in targets or target.removeprefix("study-") in studies, line
        assert {value.partition("=")[0] for value in values} <= variables, line


# Tables of contents


@pytest.mark.parametrize("init", sorted((ROOT / "bench").rglob("__init__.py")), ids=each)
def test_a_package_says_what_its_modules_are(init: Path) -> None:
    """By name, or as "the others"."""
    text = ast.get_docstring(ast.parse(init.read_text(encoding="utf-8"))) or ""
    here = {path.stem for path in init.parent.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    lacking = {name for name in here if not name.startswith("__") and not re.search(rf"\b{name}\b", text)}
    assert "the others" in text or not lacking, f"say in {each(init)} what is in {sorted(lacking)}"
