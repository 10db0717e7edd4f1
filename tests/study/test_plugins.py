"""Plug-ins: what is taken up from a file, a module and an installed package, and how what is wrong is said."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bench.errors import BadInput
from bench.methods import METHODS, BitFit, Together
from bench.models import MODELS
from bench.records import Records
from bench.study import Cell, plugins
from bench.study.plan import plan
from bench.study.plugins import OUTSIDE, installed, joined, load
from bench.study.recording import identity, usable
from bench.study.trials import Trials
from bench.study.tune import Tune
from bench.tasks import TASKS
from bench.training.device import environment
from bench.training.run import Run
from tests.support.tiny_study import STUDY

HEAD = """
from dataclasses import dataclass
from typing import ClassVar
from bench.methods import LoRA, Method
from bench.space import Range
"""
GOOD = f"""{HEAD}
@dataclass(frozen=True, repr=False)
class Mine(LoRA):
    ratio: float = 2.0

    def rates(self, name):
        return self.ratio if name.endswith("B") else 1.0
"""
BAD = f"""{HEAD}
@dataclass(frozen=True, repr=False)
class Shifts(LoRA):
    def apply(self, model, sites):
        super().apply(model, sites)
        model.norm.bias.data += 1
"""


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    known = [dict(registry) for registry in (METHODS, TASKS, MODELS)]
    modules, path = set(sys.modules), list(sys.path)
    yield
    for registry, before in zip((METHODS, TASKS, MODELS), known, strict=True):
        registry.clear()
        registry.update(before)
    OUTSIDE.clear()
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.partition(".")[0] in ("plugins", "mine", "installed_mine"):
            del sys.modules[name]


def written(folder: Path, text: str, name: str = "mine.py") -> str:
    (folder / name).write_text(text)
    return str(folder / name)


def test_a_file_gives_its_methods_with_their_defaults_or_the_values_said(tmp_path):
    path = written(tmp_path, GOOD)
    (method,) = load(path)
    assert repr(method) == "Mine(rank=8, at=('q', 'v'))" and METHODS["Mine"] is type(method)
    assert [repr(m) for m in load(f"{path}:Mine")] == [repr(method)]
    assert [repr(m) for m in load(f"{path}:Mine(rank=2, ratio=4)")] == ["Mine(rank=2, at=('q', 'v'), ratio=4.0)"]
    assert "LoRA" in METHODS and METHODS["LoRA"].__module__ == "bench.methods.lora", "what it imports is not its own"


def test_a_module_is_taken_from_the_folder_one_is_in(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    written(tmp_path / "mine", "from mine.inner import Mine\n", "__init__.py")
    written(tmp_path / "mine", GOOD, "inner.py")
    monkeypatch.chdir(tmp_path)
    assert [repr(m) for source in ("mine:Mine", "mine", "mine.inner:Mine(rank=1)") for m in load(source)] == [
        "Mine(rank=8, at=('q', 'v'))", "Mine(rank=8, at=('q', 'v'))", "Mine(rank=1, at=('q', 'v'))"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "what", "said"),
    [
        (None, "", "there is no such file"),
        ("x = 1\n", "", "no Method in it: define a frozen dataclass that inherits from bench.methods.Method"),
        ("from bench.methods import LoRA\n", "", "no Method in it"),
        ("import nowhere_at_all\n", "", r"it fails to import: ModuleNotFoundError: No module named .* \(line 1\)"),
        ("\n1 / 0\n", "", r"it fails to import: ZeroDivisionError: division by zero \(line 2\)"),
        ("def f(:\n", "", r"it fails to import: SyntaxError: invalid syntax \(line 1\)"),
        ("raise SystemExit\n", "", "it fails to import: SystemExit: without a word"),
        ("raise ValueError('one\\ntwo')\n", "", "it fails to import: ValueError: one"),
        (GOOD.replace("Mine", "BitFit"), "", "BitFit is the name of another one already: give the class another name"),
        (GOOD, ":Mien", "unknown class of .*mine.py 'Mien': did you mean 'Mine'"),
        (GOOD, ":Mine(rnk=2)", "unknown field of Mine 'rnk': did you mean 'rank'"),
        (f"{HEAD}\nclass Mine(Method):\n    pass\n", "", "Mine is no frozen dataclass: write @dataclass"),
        (
            f"{HEAD}\n@dataclass(frozen=True)\nclass Mine(Method):\n    n: int\n",
            "",
            r"Mine\(\) cannot be made: .* every",
        ),
    ],
    ids=range(13),
)
def test_what_is_wrong_is_one_line(tmp_path, text, what, said):
    path = str(tmp_path / "mine.py") if text is None else written(tmp_path, text)
    known = dict(METHODS)
    with pytest.raises(BadInput, match=said) as error:
        load(path + what)
    assert str(error.value).startswith(f"--from {path}{what}: ") and "\n" not in str(error.value)
    assert what or known == METHODS


def test_two_files_of_one_name_are_told_apart(tmp_path):
    (tmp_path / "other").mkdir()
    load(written(tmp_path, GOOD))
    with pytest.raises(BadInput, match=r"another file of this name is loaded, .*mine.py: give one of them another"):
        load(written(tmp_path / "other", GOOD))
    assert load(written(tmp_path, GOOD.replace("2.0", "3.0")))[0].ratio == 3.0, "the same file may be read again"


def test_installed_packages_declare_methods_tasks_and_models(tmp_path, monkeypatch):
    kinds = {
        "methods": ("Mine", "Broken", "NotThere", "NoClass"), "models": ("Net",), "tasks": ("Job",),
    }  # fmt: skip
    lines = [
        f"[lora_bench.{kind}]\n" + "\n".join(f"{n.lower()} = installed_mine:{n}" for n in names)
        for kind, names in kinds.items()
    ]
    info = tmp_path / "mine-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("\n".join(lines))
    more = """
class Broken(Method):
    pass
NoClass = 3
@dataclass(frozen=True)
class Net:
    def build(self): ...
@dataclass(frozen=True)
class Job:
    def data(self): ...
    def head(self): ...
    def loss(self): ...
"""
    written(tmp_path, GOOD + more, "installed_mine.py")
    monkeypatch.syspath_prepend(str(tmp_path))
    installed.cache_clear()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        installed()
    installed.cache_clear()
    said = "\n".join(str(each.message) for each in told)
    assert {"Mine"} <= METHODS.keys() and "Net" in MODELS and "Job" in TASKS and "Broken" not in METHODS
    for name, why in (
        ("broken", "Broken is no frozen dataclass"),
        ("notthere", "it fails to import: AttributeError"),
        ("noclass", "it is no class of lora_bench.methods"),
    ):
        assert f"plug-in {name} of mine (installed_mine:" in said and why in said
    assert installed.cache_info().currsize == 0


@pytest.mark.usefixtures("own_cache", "one_thread")
def test_one_that_fails_its_checks_is_refused_by_name_and_the_rest_goes_on(tmp_path):
    added = [*load(written(tmp_path, BAD, "bad.py")), *load(written(tmp_path, GOOD) + ":Mine(rank=2)")]
    (study,) = joined([replace(STUDY, methods=(BitFit(),), tune=Tune(trials=0))], added)
    assert study.methods == (BitFit(), *added)
    (study,) = joined([study], [Together(BitFit(), added[0])])
    rows = plan(study, Records(tmp_path / "records"), timed=False)
    refused = {type(row.cell.method).__name__: row.refused for row in rows}
    assert refused["BitFit"] == refused["Mine"] == ""
    assert refused["Shifts"] == refused["Together"]
    assert refused["Shifts"].startswith("plug-in Shifts fails its checks: identity at the start, on test_vit: at the")


def test_a_study_that_cannot_take_one_goes_on_without_it(tmp_path):
    outside = GOOD.replace("ratio: float = 2.0", "ratio: float = 2.0\n    space: ClassVar = {'rtio': Range(1, 2)}")
    added = load(written(tmp_path, outside))
    with pytest.warns(UserWarning, match=r"plug-in Mine\(.*\) is left out of tiny: unknown hyper-parameter of Mine"):
        (study,) = joined([STUDY], added)
    assert study.methods == STUDY.methods
    assert joined([STUDY], [BitFit(), BitFit()])[0].methods == (*STUDY.methods, BitFit())


def test_workers_find_plug_ins_before_studies(tmp_path, monkeypatch):
    from bench.execution.processes import study_files

    load(written(tmp_path, GOOD))
    monkeypatch.chdir(tmp_path)
    written(tmp_path, GOOD.replace("Mine", "Other"), "installed_mine.py")
    load("installed_mine:Other")
    there = study_files()
    assert list(there)[:2] == ["installed_mine", "plugins.mine"]
    for name in ("installed_mine", "plugins.mine"):
        del sys.modules[name]
    del METHODS["Mine"], METHODS["Other"]
    for name in ("installed_mine", "plugins.mine"):
        plugins.again(name, Path(there[name]))
    assert {"Mine", "Other"} <= METHODS.keys()
    sys.path.remove(str(tmp_path))
    del sys.modules["installed_mine"], METHODS["Other"]
    plugins.again("installed_mine", Path(there["installed_mine"]))  # on a machine that was sent the file alone
    assert "Other" in METHODS


def test_other_code_under_the_same_name_is_run_again(tmp_path):
    (first,) = load(written(tmp_path, GOOD))
    run = Run(STUDY.tasks[0], STUDY.models[0], first, STUDY.training, 0)
    code = plugins.fingerprint(first)
    assert code == plugins.fingerprint(Together(BitFit(), first)) and plugins.fingerprint(BitFit()) is None
    record = {
        "environment": environment("cpu"), "status": "ok", "training": STUDY.training.config,
        "provenance": {"data_sha256": run.task.fingerprint(), "method_sha256": code},
    }  # fmt: skip
    name = Trials(STUDY, Cell(run.task, run.model, first)).name
    assert usable(record, run, "cpu") and not usable(record, replace(run, method=BitFit()), "cpu")
    (second,) = load(written(tmp_path, GOOD + "# another\n"))
    again = replace(run, method=second)
    assert repr(second) == repr(first) and not usable(record, again, "cpu") and identity(again) == identity(run)
    assert Trials(STUDY, Cell(run.task, run.model, second)).name != name
