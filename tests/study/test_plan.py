"""A plan: a cell that cannot be planned is refused alone, and what is not known says why."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import nn

from bench.errors import BadInput, say_once
from bench.methods import LinearProbe, LoRA, Method
from bench.methods.method import freeze
from bench.records import Records
from bench.study.plan import estimated, plan, trainable
from bench.study.study import Cell
from bench.study.tune import Tune
from bench.tasks import Detection, Glue
from bench.training.method_checks import BERT, VIT, Violation, merges, report, shapes_suffice
from tests.support.tiny_study import STUDY as TINY

STUDY = replace(TINY, tune=Tune(trials=2, pruner="none"))
NOWHERE = Records(Path("nowhere"))
pytestmark = pytest.mark.usefixtures("own_cache")


@dataclass(frozen=True, repr=False)
class Bad(Method):
    """Goes wrong in the way named: as authors' first tries do.

    Args:
        how: "cpu" for a vector made on the CPU whatever the network is on, "values" for one as long as the weights
            have signs, "never" for an error on any network, "step" for one in training alone.
    """

    how: str = "cpu"

    def apply(self, model, sites):
        freeze(model)
        home = model.get_submodule(sites[-1].path)
        weight = next(model.parameters())
        width = int((weight > 0).flatten()[:1].nonzero().shape[0] >= 0) if self.how == "values" else 1
        if self.how == "never":
            raise KeyError("blocks")
        home.shift = nn.Parameter(torch.zeros(width, **({} if self.how == "cpu" else {"device": weight.device})))

        def moved(module, args, y):
            if self.how == "step" and module.training:
                raise RuntimeError("only when it trains")
            return y + module.shift.to(y.dtype)

        home.register_forward_hook(moved)


@pytest.mark.parametrize(("how", "told"), [("cpu", r"makes .*\.shift on cpu"), ("values", "NotImplementedError|meta")])
def test_what_needs_values_is_counted_on_real_tensors_and_said(how, told):
    say_once.cache_clear()
    with pytest.warns(UserWarning, match=f"Bad.*({told})"):
        assert trainable(Cell(STUDY.tasks[0], VIT, Bad(how))) == (1, 650)
    with pytest.raises(Violation, match=told):
        shapes_suffice(Bad(how), VIT)


@pytest.mark.parametrize("how", ["never"])
def test_a_cell_that_cannot_be_planned_is_refused_alone(how):
    study = replace(STUDY, methods=(LinearProbe(), Bad(how), LoRA(rank=1)))
    rows = plan(study, NOWHERE, timed=False)
    assert [bool(row.refused) for row in rows] == [False, True, False]
    assert "Bad" in rows[1].refused and "KeyError" in rows[1].refused and rows[1].todo == 0 < rows[2].todo
    with pytest.raises(BadInput, match="KeyError"):
        plan(replace(STUDY, methods=(Bad(how),)), NOWHERE, timed=False)


@pytest.mark.parametrize("task", [Detection("coco"), Glue("stsb")])
def test_a_training_option_that_does_nothing_is_refused(task):
    smoothed = replace(STUDY.training, label_smoothing=0.1)
    model = VIT if task.family == "detection" else BERT
    with pytest.raises(BadInput, match=rf"label_smoothing=0\.1: the loss of {task.name} knows none"):
        trainable(Cell(task, model, LinearProbe()), smoothed)
    assert trainable(Cell(STUDY.tasks[0], VIT, LinearProbe()), smoothed) == (0, 650)


def test_what_cannot_be_estimated_says_why():
    study = replace(STUDY, methods=(LinearProbe(), Bad("step")))
    first, second = estimated(study, plan(study, NOWHERE, timed=False), device="cpu")
    assert first.memory and not first.unknown and first.speed
    assert second.memory is None and "only when it trains" in second.unknown and second.speed is None


def test_the_checks_of_a_method_that_fails_everywhere_do_not_end():
    rows, failed = report(Bad("never"), [VIT, BERT])
    assert failed == 2 and all("KeyError" in result for *_, result in rows)


def test_who_never_claimed_to_merge_is_not_asked_to():
    merges(Bad("step"), VIT)
