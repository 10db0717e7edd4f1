"""Studies are found wherever one stands: in a folder that is named, here, or with the package."""

from __future__ import annotations

import ast
import os
import pickle
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

import bench
from bench.cli import app
from bench.cli.studies import (
    CLAIMS,
    complete_method,
    complete_scale,
    complete_study,
    declared,
    files,
    find,
    question,
)
from bench.errors import BadInput

ROOT = Path(__file__).parents[2]
MINE = '''"""Is LoRA enough for my digits?"""
from dataclasses import dataclass
from bench.methods import LinearProbe, LoRA
from bench.models import Timm
from bench.study import Study
from bench.tasks import Images

@dataclass(frozen=True, repr=False)
class Mine(LoRA):
    """Mine."""

def study(scale):
    """Has no budget of its own."""
    return Study(
        name="mine",
        question="Is LoRA enough?",
        tasks=(Images("digits", train=60, val=30, test=60),),
        models=(Timm("test_vit", weights="random", image_size=32),),
        methods=(LinearProbe(), Mine(rank=2)),
    )
'''


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A folder that is not the repository, with a folder of studies beside."""
    (tmp_path / "my").mkdir()
    (tmp_path / "my" / "mine.py").write_text(MINE)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


def test_outside_the_repository_the_shipped_studies_are_found(elsewhere):
    assert {"rank-sweep", "costs", "placement"} <= set(files())
    assert find("rank_sweep", None) == find("rank-sweep", None) == ROOT / "studies" / "rank_sweep.py"
    assert "claims" not in files() and declared(CLAIMS, None) == ROOT / "studies" / "claims.py"


def test_a_folder_that_is_named_is_the_only_one(elsewhere):
    assert list(files(elsewhere / "my")) == ["mine"]
    with pytest.raises(BadInput, match="unknown study 'rank-sweep'"):
        find("rank-sweep", elsewhere / "my")
    with pytest.raises(BadInput, match=r"no claims\.py in .*my: name its folder"):
        declared(CLAIMS, elsewhere / "my")
    with pytest.raises(BadInput, match="no such folder"):
        files(elsewhere / "nowhere")


def test_studies_here_come_before_those_shipped_of_the_same_name(elsewhere):
    (elsewhere / "work" / "studies").mkdir()
    (elsewhere / "work" / "studies" / "costs.py").write_text(MINE)
    assert find("costs", None) == Path("studies/costs.py")
    assert find("placement", None) == ROOT / "studies" / "placement.py"


def test_every_study_is_listed_with_its_question(elsewhere):
    shown = CliRunner().invoke(app, ["studies"]).stdout
    assert all(name in shown and question(path) in shown for name, path in files().items())
    assert question(elsewhere / "my" / "mine.py") == "Is LoRA enough for my digits?"


def test_what_the_wheel_packs_is_all_there_is():
    """The packages are named one by one, so that the studies can be packed from beside the library."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    there = {str(path.parent.relative_to(ROOT)).replace(os.sep, ".") for path in (ROOT / "bench").rglob("*.py")}
    assert sorted(declared["packages"]) == sorted({*there, "bench.studies"})
    assert declared["package-dir"] == {"bench.studies": "studies"} and (ROOT / "studies" / "claims.py").is_file()


def test_the_shell_completes_what_there_is():
    from bench.methods import METHODS
    from bench.study import SCALES

    assert list(complete_study("rank")) == ["rank-sweep"] and "low-data" in complete_study("low_")
    assert tuple(complete_scale("")) == SCALES and list(complete_scale("l")) == ["laptop"]
    assert sorted(METHODS) == list(complete_method("")) and list(complete_method("pf")) == ["Pfeiffer"]


def test_completion_and_version_do_not_import_torch():
    """As the shell asks: by an environment variable, in a process of its own at every key."""
    code = (
        "import sys, runpy\nsys.argv = ['bench']\n"
        "try: runpy.run_module('bench', run_name='__main__')\nexcept SystemExit: pass\n"
        "print(sorted(m for m in ('torch', 'pandas', 'typer') if m in sys.modules))"
    )
    asked = {"_BENCH_COMPLETE": "complete_bash", "COMP_WORDS": "bench plan rank", "COMP_CWORD": "2"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, **asked}, capture_output=True, text=True
    )
    *completed, loaded = done.stdout.splitlines()
    assert completed == ["rank-sweep"] and ast.literal_eval(loaded) == ["typer"], done.stderr
    shown = CliRunner().invoke(app, ["--version"])
    assert (shown.exit_code, shown.stdout) == (0, f"lora-bench {bench.__version__}\n")


def test_a_study_without_a_budget_takes_the_scales_own(elsewhere):
    from bench.study import load, tuning
    from bench.study.scales import SEEDS

    for scale in SEEDS:
        (study,) = load(elsewhere / "my" / "mine.py", scale)
        assert (study.seeds, study.tune) == (SEEDS[scale], tuning(scale))


def test_what_a_study_elsewhere_defines_goes_to_another_process(elsewhere, monkeypatch):
    """By pickle, which imports the module of a class by name, where no folder `studies` is to be found."""
    from bench.study import load

    monkeypatch.setattr(sys, "path", [each for each in sys.path if not (Path(each) / "studies").exists()])
    for name in ("studies", "studies.mine"):  # gone now, and as it was afterwards
        monkeypatch.setitem(sys.modules, name, sys.modules.get(name))
        monkeypatch.delitem(sys.modules, name)
    (study,) = load(elsewhere / "my" / "mine.py", "smoke")
    assert type(study.methods[1]).__module__ == "studies.mine"
    assert pickle.loads(pickle.dumps(study.methods)) == study.methods


def test_what_to_type_next_holds_where_one_stands(elsewhere, monkeypatch, capsys):
    from bench.execution import console
    from bench.study import load

    parts = load(ROOT / "studies" / "forgetting.py", "smoke")
    console.families(parts, [[], []], "smoke")
    assert "  bench run forgetting --scale smoke --family text\n" in capsys.readouterr().out
    monkeypatch.chdir(ROOT)
    console.families(parts, [[], []], "smoke")
    assert "  make study-forgetting SCALE=smoke FAMILY=text\n" in capsys.readouterr().out
