"""What a plan refuses is left out of the run, alone and with its reason; the rest goes on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.errors import BadInput
from bench.execution import cost_study
from bench.execution.callbacks import Callbacks
from bench.execution.cost_study import Costing
from bench.execution.launch import run
from bench.execution.parallelism import Workers
from bench.methods import LinearProbe, LoRA
from bench.models import Timm
from bench.records import Records
from bench.sites import CONV
from bench.study import Costs
from bench.study.tune import Tune
from bench.training.method_checks import CNN, VIT
from tests.support.tiny_study import STUDY

pytestmark = pytest.mark.usefixtures("own_cache")
MISFIT = LoRA(rank=1, at=CONV)
ONCE = replace(STUDY, seeds=(0,), tune=Tune(trials=1, pruner="none"))


def carried_out(study, records: Records) -> bool:
    return run([study], "smoke", records, device="cpu", mlflow=False, workers=Workers(), storage=None)


def test_what_cannot_be_done_costs_its_own_cells(records, capsys, monkeypatch):
    """A method that a model has no place for, and a model that cannot be made, beside what can."""
    monkeypatch.setattr(Callbacks, "draw", lambda self: None)  # figures are tested elsewhere
    nothing = Timm("vgg11", weights="random", drop_path=0.1)
    study = replace(ONCE, models=(nothing, VIT, CNN), methods=(LinearProbe(), MISFIT))
    assert carried_out(study, records), "no final run failed"
    told = capsys.readouterr().out
    assert f"left out: {MISFIT!r} on digits, {VIT.name}: no site matches" in told and "3 of 3 final runs" in told
    assert "left out: LinearProbe() on digits, vgg11: " in told
    done = {(r["model"]["name"], r["method"]["name"]) for r in records.all() if r["model"]["name"] != "none"}
    assert done == {(VIT.name, "LinearProbe"), (CNN.name, "LinearProbe"), (CNN.name, "LoRA")}
    assert {record["status"] for record in records.all()} == {"ok"}


def test_a_study_of_costs_goes_on_too(records):
    study = replace(ONCE, methods=(LinearProbe(), MISFIT), costs=Costs(steps=1, batches=(2,)))
    rows = cost_study.plan(study, records, device="cpu")
    assert [bool(row.refused) for row in rows] == [False, True] and "no site matches" in rows[1].refused
    made = Costing(study, "smoke", records, left_out={rows[1].cell})()
    assert [record["method"]["name"] for record in made] == ["LinearProbe"]
    with pytest.raises(BadInput, match="no site matches"):
        cost_study.plan(replace(study, methods=(MISFIT,)), records, device="cpu")
