"""A method in a file outside the repository, from its template to a study's page, and without it again."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from bench.cli.authoring import method as write
from bench.cli.authoring import use
from bench.errors import BadInput
from bench.execution.launch import launch
from bench.methods import METHODS
from bench.records import Records
from bench.report import redraw
from bench.report.data.groups import groups
from bench.report.figures.parameter_bars import parameter_bars
from bench.report.style import drawing
from bench.study.plugins import OUTSIDE
from bench.training.check_networks import BERT, VIT
from bench.training.method_checks import report
from tests.support.report_records import boxes

STUDY = '''
"""Does a method from outside run?"""

from bench.methods import METHODS, LinearProbe
from bench.models import Timm
from bench.study import Study, Tune
from bench.tasks import Images
from bench.training import Training

KNOWN = METHODS["Turned"]  # in a worker too


def study(scale):
    return Study(
        name="outside", question="Does it run?", tasks=(Images("digits", train=40, val=20, test=30),),
        models=(Timm("test_vit", weights="random", image_size=32),), methods=(LinearProbe(),),
        training=Training(epochs=1), seeds=(0, 1), tune=Tune(trials=0),
    )
'''
METHOD = '''
from dataclasses import dataclass

import torch
from torch import nn

from bench.methods import Method
from bench.methods.branch import Branch, attach
from bench.methods.method import freeze
from bench.sites import select


@dataclass(frozen=True, repr=False)
class Turned(Method):
    """x ← (1 + s) ⊙ x before a layer, y ← y + b after it."""

    weight: float = 0.1

    def apply(self, model, sites):
        freeze(model)
        for site in select(sites, at=("up", "down")):
            host = model.get_submodule(site.path)
            attach(host, "turned", Turn(host))

    def rates(self, name):
        return 4.0 if name.endswith(".s") else 1.0

    def penalty(self, model):
        found = [module.turned.s.square().sum() for module in model.modules() if hasattr(module, "turned")]
        return self.weight * torch.stack(found).sum()


class Turn(Branch):
    def __init__(self, host):
        super().__init__()
        like = {"device": host.weight.device, "dtype": host.weight.dtype}
        self.s = nn.Parameter(torch.zeros(host.in_features, **like))
        self.b = nn.Parameter(torch.zeros(host.out_features, **like))

    def before(self, x):
        return x * (1 + self.s)

    def forward(self, x, y):
        return y + self.b

    @torch.no_grad()
    def fold(self, host):
        host.weight *= 1 + self.s
        host.bias += self.b
'''


@pytest.fixture(autouse=True)
def _as_before():
    known = dict(METHODS)
    yield
    METHODS.clear()
    METHODS.update(known)
    OUTSIDE.clear()
    for name in [name for name in sys.modules if name.startswith(("plugins.", "studies.outside"))]:
        del sys.modules[name]


@pytest.mark.usefixtures("own_cache")
@pytest.mark.long
def test_it_runs_in_two_processes_and_is_in_table_figures_page_and_mlflow(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    (tmp_path / "turned.py").write_text(METHOD)
    (tmp_path / "outside.py").write_text(STUDY)
    added = use([str(tmp_path / "turned.py")])
    assert launch(tmp_path / "outside.py", "smoke", results=tmp_path, device="cpu", mlflow=True, jobs=2, added=added), (
        capsys.readouterr().out
    )
    records = Records(tmp_path / "outside" / "smoke")
    found = [r for r in records.all() if r["method"]["name"] == "Turned"]
    assert len(found) == 2 and {r["status"] for r in found} == {"ok"} and found[0]["environment"]["jobs"] == 2
    assert all("penalty" in r["curve"][0] and r["memory"]["peak"] for r in found)
    assert {"base", "unmerged", "merged"} in [set(r["inference"].get("latency", ())) for r in found]
    import mlflow

    runs = mlflow.MlflowClient().search_runs([mlflow.get_experiment_by_name("outside").experiment_id])
    assert sum("Turned" in json.dumps(run.data.params) for run in runs) >= 2
    del METHODS["Turned"], sys.modules["plugins.turned"]
    figure = records.folder / "figures" / "trainable_parameters.png"
    figure.unlink()
    redraw(records.folder)  # without it
    assert figure.exists()
    with drawing():
        drawn = parameter_bars(groups(records.all())[0])
        assert "Turned" in [text for text, _ in boxes(drawn.figure)]
    assert "Turned()" in (records.folder / "table.csv").read_text()
    assert "Turned" in (records.folder / "README.md").read_text()
    assert "Turned" in (records.folder / "report.html").read_text()


@pytest.mark.usefixtures("one_thread")
def test_the_template_keeps_the_rules_as_it_is_written(tmp_path, capsys, monkeypatch):
    write("NewGain", tmp_path)
    assert f"bench check NewGain --from {tmp_path}/new_gain.py" in capsys.readouterr().out
    (method,) = use([str(tmp_path / "new_gain.py")])
    assert {"lr", "weight_decay", "scale"} == set(method.space) and "(arXiv:" in type(method).__doc__
    rows, failed = report(method, [VIT])
    assert not failed and len(rows) > 5
    rows = (tmp_path / "test_new_gain.py").read_text()
    monkeypatch.syspath_prepend(str(tmp_path))
    space: dict = {}
    exec(compile(rows, "test_new_gain.py", "exec"), space)
    assert [models for _, models in space["ROWS"]] == [(VIT, BERT)] and len(space["CASES"]) > 10
    sys.modules.pop("new_gain")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("LoRA", "LoRA is the name of a method already"),
        ("my method", "is no name of a class: write it as Rescale"),
        ("rescale", "is no name of a class"),
        ("Class", r"its file class.py could not be imported"),
        ("Method", "Method is the name of a method already"),
    ],
)
def test_a_name_that_will_not_do_is_refused(tmp_path, name, said):
    with pytest.raises(BadInput, match=said):
        write(name, tmp_path)
    assert not list(tmp_path.iterdir())


def test_nothing_is_written_over(tmp_path):
    write("Mine", tmp_path)
    (tmp_path / "mine.py").write_text("my work")
    with pytest.raises(BadInput, match=re.escape(f"{tmp_path / 'mine.py'} is there already")):
        write("Mine", tmp_path)
    assert (tmp_path / "mine.py").read_text() == "my work"
    with pytest.raises(BadInput, match="there is no such folder"):
        write("Mine", Path(tmp_path / "nowhere"))
