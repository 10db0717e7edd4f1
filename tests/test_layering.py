"""The house: imports only point down, records and figures never load torch, and nothing grows too long."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# The house from top to bottom, as DESIGN draws it: a package may import what stands below it, never its own row or
# what stands above.
ORDER = (
    "__main__",
    "cli",  # what a person types
    "execution",  # carry a study out
    "deploy",  # what becomes of a trained run
    "study",  # what is to be run, and how a run becomes a record
    "training",  # one run
    "tasks",  # what is learned
    "models",  # what is adapted
    "methods",  # what is trained
    "tracking",  # MLflow
    "report",  # tables, figures, pages
    "records",  # the only truth
    "assets",  # where bytes come from
    "costs",  # memory, time, energy of a step
    "stats",  # pure functions on arrays
    "vocabulary",
)
VOCABULARY = ("spec", "space", "sites", "errors")  # in this order too
WITHIN = {  # packages of several parts, from top to bottom
    "report": (
        "sentences", "statements", "queries", "power", "claims compare", "rules",
        "page", "figures", "tables", "data", "style",
    ),
    "tasks": (
        "recognise", "detection", "text", "images", "classification precomputed", "baselines data_summary", "metrics",
        "contract pools caches", "picture_checks", "folder_listing pictures class_names", "data_notes",
    ),
}  # fmt: skip
# Packages that know less than their place allows.
ONLY = {
    "methods": {"vocabulary"},
    "report": {"vocabulary", "records", "stats"},
    "tracking": {"vocabulary", "records", "report"},
}
WITHOUT_TORCH = ("assets", "records", "report", "stats", "tracking", "cli")
TORCH = {"torch", "torchvision", "torchmetrics", "timm", "transformers", "peft", "accelerate"}
RANK = {package: -rank for rank, package in enumerate(ORDER)}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted((ROOT / "bench").rglob("*.py"))}
SOURCES = [*MODULES.values(), *sorted((ROOT / "studies").rglob("*.py"))]


def package(module: str) -> str:
    """The package that a module belongs to: "bench.models.weights" is of "models", "bench.sites" of the vocabulary."""
    _, _, rest = module.partition(".")
    name = rest.split(".")[0]
    return "vocabulary" if name in VOCABULARY else name


def imports(path: Path, *, types: bool = True) -> Iterator[tuple[int, str]]:
    """Line and full name of everything a file imports, inside functions too.

    Args:
        path: the file.
        types: whether to count what stands under `if TYPE_CHECKING`, which never runs.
    """
    todo: list[ast.AST] = [ast.parse(path.read_text())]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING") and not types:
            todo += node.orelse
        elif isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield node.lineno, full if full in MODULES else str(node.module)
        else:
            todo += ast.iter_child_nodes(node)


def arrows() -> Iterator[tuple[str, str, str]]:
    """Every import of one module of bench by another: where it stands, who imports, who is imported."""
    for module, path in MODULES.items():
        for line, name in imports(path):
            if module != "bench" and name.startswith("bench."):  # the front door, bench.load, opens on everything
                yield f"{path.relative_to(ROOT)}:{line}", module, name


def test_every_module_is_in_a_package() -> None:
    assert {package(module) for module in MODULES} == {"", *ORDER}, "put it into a package, and that into ORDER"


def test_imports_only_point_down() -> None:
    wrong = []
    for at, one, other in arrows():
        above, below = package(one), package(other)
        if above != below and (RANK[below] >= RANK[above] or below not in ONLY.get(above, RANK)):
            wrong.append(f"{at}: {above} imports {below}")
        if above == below == "vocabulary" and VOCABULARY.index(one[6:]) >= VOCABULARY.index(other[6:]):
            wrong.append(f"{at}: {one} imports {other}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("whole", WITHIN)
def test_imports_point_down_within_a_package(whole: str) -> None:
    rank = {part: -rank for rank, row in enumerate(WITHIN[whole]) for part in row.split()}
    parts = {module: module.split(".")[2] for module in MODULES if module.startswith(f"bench.{whole}.")}
    assert set(parts.values()) == set(rank), "put it into WITHIN"
    wrong = [
        f"{at}: {one} imports {other}"
        for at, one, other in arrows()
        if one in parts and other in parts and parts[one] != parts[other] and rank[parts[other]] >= rank[parts[one]]
    ]
    assert not wrong, "\n".join(wrong)


def test_the_check_sees_imports_inside_functions(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text(
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    import torch\n"
        "def late():\n    from bench import cli\n    import bench.study, os\n"
    )
    assert {name for _, name in imports(file)} == {"typing", "torch", "bench.cli", "bench.study", "os"}
    assert "torch" not in {name for _, name in imports(file, types=False)}


def test_a_method_knows_torch_and_sites_and_nothing_else() -> None:
    foreign = {
        name.split(".")[0]
        for module, path in MODULES.items()
        if package(module) == "methods"
        for _, name in imports(path)
        if module != "bench.methods.peft_bridge"  # it is what knows peft
    }
    assert foreign - set(sys.stdlib_module_names) <= {"torch", "bench"}


@pytest.mark.parametrize("start", [name for name in WITHOUT_TORCH if name != "cli"])
def test_what_draws_and_records_needs_no_torch(start: str) -> None:
    todo, seen = [module for module in MODULES if package(module) == start], set[str]()
    while todo:
        module = todo.pop()
        if module in seen:
            continue
        seen.add(module)
        for line, name in imports(MODULES[module], types=False):
            reason = f"{module}:{line} imports {name}"
            assert name.split(".")[0] not in TORCH and name != "safetensors.torch", reason
            # Importing bench.a.b runs bench/__init__.py and bench/a/__init__.py too.
            dots = name.split(".")
            todo += [own for n in range(len(dots)) if (own := ".".join(dots[: n + 1])) in MODULES]


def test_they_really_do_without_torch() -> None:
    names = ", ".join(f"bench.{name}" for name in WITHOUT_TORCH)
    program = f"import sys, {names}; print(*sorted({TORCH!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")


def test_files_and_functions_stay_short() -> None:
    long = []
    for path in SOURCES:
        text = path.read_text()
        if (length := len(text.splitlines())) >= 300:
            long.append(f"{path.relative_to(ROOT)}: {length} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or 0) - node.lineno + 1
                if length >= 40:
                    long.append(f"{path.relative_to(ROOT)}:{node.lineno}: {node.name} has {length} lines")
    assert not long, "\n".join(long)
