"""What a network still knows of an old task: what cannot forget does not, and what moves the features may."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.errors import BadInput
from bench.methods import FullFineTuning, LinearProbe
from bench.records import Records
from bench.report.claims import Contrast, Evidence, Pick
from bench.report.data.groups import groups
from bench.report.figures.forgetting import has_old_task, learning_vs_forgetting
from bench.report.tables import dataframes
from bench.study import Study
from bench.study.recording import identity, usable
from bench.study.tune import Tune
from bench.tasks import Detection, Images
from bench.training.loop import train
from bench.training.method_checks import VIT
from bench.training.recipe import Training
from bench.training.run import Run
from tests.support.tiny_study import STUDY, execute, learned

pytestmark = pytest.mark.usefixtures("own_cache")
NEW, OLD = Images("digits", train=60, val=40, test=60), Images("digits", train=120, val=20, test=90)
TRAINING = Training(lr=0.03, epochs=2, batch_size=16, precision="fp32")


def run_of(method: object, *, seed: int = 0, old: Images | None = OLD) -> Run:
    return Run(NEW, VIT, method, TRAINING, seed, retained=old)  # type: ignore[arg-type]


def test_a_linear_probe_forgets_nothing_and_full_fine_tuning_at_a_high_rate_much() -> None:
    probe, full = (train(run_of(method)).metrics for method in (LinearProbe(), FullFineTuning()))
    assert probe["retained"] == probe["untouched"] == full["untouched"]
    assert full["retained"]["top1"] < full["untouched"]["top1"] - 0.2
    assert train(run_of(LinearProbe(), old=None)).metrics.keys() == {"val", "test"}


def test_nothing_of_the_new_task_depends_on_the_old_one() -> None:
    with_old, without = (train(run_of(FullFineTuning(), old=old)) for old in (OLD, None))
    assert learned(with_old.curve) == learned(without.curve)
    assert with_old.metrics["test"] == without.metrics["test"]


def test_the_old_task_is_part_of_a_runs_identity_and_of_no_other() -> None:
    with_old, without = run_of(LinearProbe()), run_of(LinearProbe(), old=None)
    assert identity(with_old) != identity(without)
    assert identity(without) == identity(Run(NEW, VIT, LinearProbe(), TRAINING, seed=0))


def test_a_study_keeps_tells_and_draws_it(tmp_path: Path) -> None:
    study: Study = replace(
        STUDY, methods=(LinearProbe(), FullFineTuning()), tune=Tune(trials=2, pruner="none"), retained=OLD
    )
    records = Records(tmp_path / "tiny" / "smoke")
    finals, done = execute(records, study)
    assert all(record["retained"]["spec"] == repr(OLD) for record in finals)
    assert usable(finals[0], next(run for run in done if identity(run) == finals[0]["run_id"]), "cpu")
    trials = [record for record in records.all() if record["phase"] == "tune"]
    assert trials and not any("retained" in record["metrics"] for record in trials)
    parts = groups(records.all())
    assert has_old_task(parts)
    learning_vs_forgetting(parts)
    table = dataframes.results(parts).set_index("method")
    assert table.loc["linear probe", "digits after"] == table.loc["linear probe", "digits before"]
    score = lambda configuration: configuration.retained  # noqa: E731
    contrast = Contrast("tiny", Pick("LinearProbe"), Pick("FullFineTuning"), score=score)
    interval, said, _ = contrast.found(Evidence(tmp_path, "smoke"))
    assert interval is not None and "linear probe − full fine-tuning" in said
    assert execute(records, study)[1] == []


def test_an_old_task_that_does_not_fit_is_refused_before_anything_runs() -> None:
    with pytest.raises(BadInput, match="classification task of the family"):
        replace(STUDY, retained=Detection("composited-digits", train=16, val=8, test=8))
