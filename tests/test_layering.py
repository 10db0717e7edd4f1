"""The house: imports only point left, records and figures never load torch, and nothing grows too long."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# From left to right: a part of bench may import what stands before it, never its own row or what comes after.
ORDER = (
    ("errors", "stats"),
    ("sites", "asset_catalogue", "environment", "records", "space"),
    ("spec", "asset_download", "tracking"),
    ("assets", "report"),
    ("methods", "claims"),
    ("models",),
    ("tasks",),
    ("costs", "training"),
    ("run",),
    ("inference", "retained"),
    ("train", "tune"),
    ("conformance", "study", "forecast"),
    ("ledger", "workers"),
    ("references",),
    ("trials",),
    ("search",),
    ("runner",),
    ("plan", "hands"),
    ("costing",),
    ("progress", "show"),
    ("desk",),
    ("launch",),
    ("cli",),
    ("__main__",),
    ("",),  # the front door: bench.load
)
# Parts that know less than their place allows.
ONLY = {
    "claims": {"errors", "records", "report", "stats"},
    "methods": {"errors", "sites", "space", "spec"},
    "report": {"errors", "records", "space", "stats", "tracking"},
    "tracking": {"errors", "records"},
}
WITHOUT_TORCH = ("assets", "claims", "records", "report", "stats", "tracking", "cli")
TORCH = {"torch", "torchvision", "torchmetrics", "timm", "transformers", "peft", "accelerate"}
RANK = {part: rank for rank, row in enumerate(ORDER) for part in row}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted((ROOT / "bench").rglob("*.py"))}
SOURCES = [*MODULES.values(), *sorted((ROOT / "studies").rglob("*.py"))]


def part(module: str) -> str:
    """The part of bench that a module belongs to: "bench.models.weights" is of "models"."""
    return module.split(".")[1] if "." in module else ""


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
    """Every import of one part of bench by another: where it stands, who imports, who is imported."""
    for module, path in MODULES.items():
        for line, name in imports(path):
            if name.startswith("bench.") and part(name) != part(module):
                yield f"{path.relative_to(ROOT)}:{line}", part(module), part(name)


def test_every_part_has_its_place() -> None:
    assert {part(module) for module in MODULES} == set(RANK), "put it into ORDER, or take it out"


def test_imports_only_point_left() -> None:
    wrong = [f"{at}: {one} imports {other}" for at, one, other in arrows() if RANK[other] >= RANK[one]]
    wrong += [f"{at}: {one} imports {other}" for at, one, other in arrows() if other not in ONLY.get(one, RANK)]
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
        name.split(".")[0] for module, path in MODULES.items() if part(module) == "methods" for _, name in imports(path)
    }
    assert foreign - set(sys.stdlib_module_names) <= {"torch", "bench"}


@pytest.mark.parametrize("start", [name for name in WITHOUT_TORCH if name != "cli"])
def test_what_draws_and_records_needs_no_torch(start: str) -> None:
    todo, seen = [module for module in MODULES if part(module) == start], set[str]()
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
