"""Where data shift: corruptions that do what they say, one temperature, and means of weights between two networks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bench.errors import BadInput
from bench.methods import FullFineTuning, Houlsby, LinearProbe, LoRA
from bench.records import Records
from bench.report.data import robustness
from bench.report.data.groups import groups
from bench.report.figures.robustness import against_severity, along_weights
from bench.report.page.robustness import robustness_section
from bench.report.style import drawing
from bench.report.tables import dataframes
from bench.report.tables.tidy import tidy
from bench.study import Tune
from bench.study.recording import identity
from bench.tasks import Corruptible, Detection, Images, Text
from bench.tasks.metrics import calibration
from bench.training.loop import train
from bench.training.method_checks import VIT
from bench.training.recipe import Training
from bench.training.robustness import temperature
from bench.training.run import Run
from bench.training.shifts import Shifts
from tests.support.report_records import overlaps
from tests.support.tiny_study import STUDY, execute

pytestmark = pytest.mark.usefixtures("own_cache")
TASK = Images("digits", train=60, val=40, test=60)
ASKED = Shifts(samples=30, severities=(1, 5), alphas=(0.0, 1.0))
TRAINING = Training(lr=0.003, epochs=2, batch_size=16, precision="fp32")


def run_of(method: object, shifts: Shifts | None = ASKED) -> Run:
    return Run(TASK, VIT, method, TRAINING, 0, shifts=shifts, timed=False)  # type: ignore[arg-type]


def test_what_is_measured_where_data_shift_leaves_all_else_as_it_is() -> None:
    with_shifts, without = (train(run_of(FullFineTuning(), shifts)) for shifts in (ASKED, None))
    assert with_shifts.metrics == without.metrics and without.robustness == {}
    found = with_shifts.robustness
    assert found["samples"] == 30 and set(found["corruptions"]) == set(TASK.corruptions)
    assert all(set(by) == {"1", "5"} for by in found["corruptions"].values())
    tuned = found["interpolation"]["1"]["clean"]
    assert tuned == found["clean"]  # the network as trained
    assert found["interpolation"]["0"] != found["interpolation"]["1"]
    assert identity(run_of(LinearProbe())) != identity(run_of(LinearProbe(), None))


@pytest.mark.parametrize(
    ("method", "weights"), [(LoRA(rank=2), True), (Houlsby(width=2), False), (LinearProbe(), False)]
)
def test_weights_have_a_mean_where_nothing_but_weights_is_left(method: object, weights: bool) -> None:
    found = train(run_of(method)).robustness
    assert ("interpolation" in found) == weights
    if weights:
        assert found["interpolation"]["1"]["clean"]["top1"] == pytest.approx(found["clean"]["top1"], abs=0.04)


def test_a_temperature_mends_logits_that_are_too_large_and_no_class_changes() -> None:
    dice = torch.Generator().manual_seed(0)
    logits = torch.randn(4000, 3, generator=dice, dtype=torch.float64)
    classes = torch.multinomial(logits.softmax(1), 1, generator=dice).squeeze(1)  # calibrated as they are
    assert temperature(5 * logits, classes) == pytest.approx(5, rel=0.1)
    before, after = calibration(5 * logits, classes), calibration(logits, classes)
    assert all(after[name] < before[name] for name in ("ece", "brier", "nll"))
    assert after["ece"] < 0.03


def test_brier_is_0_for_the_truth_2_for_its_contrary_and_half_for_a_coin() -> None:
    sure = torch.tensor([[40.0, -40.0]]).double()
    assert calibration(sure, torch.tensor([0]))["brier"] == pytest.approx(0)
    assert calibration(sure, torch.tensor([1]))["brier"] == pytest.approx(2)
    assert calibration(0 * sure, torch.tensor([1]))["brier"] == pytest.approx(0.5)


def test_a_study_keeps_tells_and_draws_it(tmp_path: Path) -> None:
    study = replace(STUDY, methods=(LinearProbe(), FullFineTuning()), tune=Tune(trials=2, pruner="none"), shifts=ASKED)
    records = Records(tmp_path / "tiny" / "smoke")
    finals, _ = execute(records, study)
    assert all(record["robustness"]["samples"] == 30 and record["shifts"] == repr(ASKED) for record in finals)
    assert not any("robustness" in record for record in records.all() if record["phase"] != "final")
    parts = groups(records.all())
    assert robustness.has_shifts(parts) and robustness.has_means(parts)
    with drawing():
        for draw in (against_severity, along_weights):
            assert overlaps(draw(parts).figure) == []
    assert dataframes.results(parts)["under corruptions"].notna().all()
    table = tidy(records.all())
    assert {"test noise 5", "test some", "test calibrated", "test weights 1, corrupted"} <= set(table["split"])
    said = "\n".join(robustness_section(parts[0]))
    assert "Brier" in said and "α = 1" in said and "contrast" in said
    assert execute(records, study)[1] == []


def test_only_tasks_whose_samples_can_be_made_worse_are_taken() -> None:
    boxes = Detection("composited-digits", train=16, val=8, test=8)
    assert isinstance(TASK, Corruptible) and isinstance(Text("unicode-names"), Corruptible)
    assert not isinstance(boxes, Corruptible)
    with pytest.raises(BadInput, match="knows no corruptions"):
        replace(STUDY, tasks=(boxes,), methods=(LinearProbe(),), tune=Tune(trials=2, pruner="none"), shifts=ASKED)


def test_what_is_examined_counts_in_a_plan() -> None:
    assert ASKED.passes(corruptions=5, val=20, test=30) == 30 * (1 + 5 * 2 + 2 * 6) + 20 + 30
    assert Shifts(samples=0).passes(corruptions=2, val=10, test=100) == 100 * (1 + 2 * 5 + 5 * 3) + 110


@pytest.mark.parametrize("wrong", [{"samples": -1}, {"severities": (0, 1)}, {"at": 6}, {"alphas": (1.5,)}])
def test_shifts_that_do_not_exist_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(BadInput):
        Shifts(**wrong)  # type: ignore[arg-type]
