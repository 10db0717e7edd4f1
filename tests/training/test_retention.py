"""What a network still knows of an old task: what cannot forget does not, and what moves the features may."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.errors import BadInput
from bench.methods import FullFineTuning, LinearProbe
from bench.records import Records
from bench.report.claims import Contrast, Evidence, Pick
from bench.report.data.groups import groups
from bench.report.data.retention import Point, beyond, curve, matched
from bench.report.figures.forgetting import has_old_task, learning_vs_forgetting
from bench.report.figures.old_task import by_rate
from bench.report.page.old_task import old_task_section
from bench.report.style import drawing
from bench.report.tables import dataframes
from bench.study import Study
from bench.study.recording import identity, usable
from bench.study.tune import Tune
from bench.tasks import Detection, Images
from bench.training.loop import train
from bench.training.method_checks import VIT
from bench.training.recipe import Training
from bench.training.retention import retained
from bench.training.run import Run
from tests.support.report_records import FULL, LORAS, Case, overlaps, record
from tests.support.tiny_study import STUDY, execute, learned

pytestmark = pytest.mark.usefixtures("own_cache")
NEW, OLD = Images("digits", train=60, val=40, test=60), Images("digits", train=120, val=20, test=90)
TRAINING = Training(lr=0.03, epochs=2, batch_size=16, precision="fp32")


def run_of(method: object, *, seed: int = 0, old: Images | None = OLD) -> Run:
    return Run(NEW, VIT, method, TRAINING, seed, retained=old)  # type: ignore[arg-type]


def test_a_linear_probe_forgets_nothing_and_full_fine_tuning_at_a_high_rate_much() -> None:
    outcomes = [train(run_of(method)) for method in (LinearProbe(), FullFineTuning())]
    probe, full = (outcome.metrics for outcome in outcomes)
    assert probe["retained"] == probe["restandardised"] == probe["refitted"] == probe["untouched"] == full["untouched"]
    assert full["retained"]["top1"] < full["untouched"]["top1"] - 0.2
    assert full["refitted"]["top1"] > full["retained"]["top1"]
    still, moved = (outcome.retention for outcome in outcomes)
    assert still["cka"] == pytest.approx(1) and 0 < moved["cka"] < 0.999
    assert moved["classes"] == 10 and moved["majority"]["top1"] == pytest.approx(0.1, abs=0.05)
    assert moved["majority"]["macro_f1"] < 0.03
    assert still["fit"]["converged"] and still["fit"]["samples"] == 120
    assert outcomes[0].update == {} and outcomes[1].update["roles"].keys() >= {"q", "k", "v", "o", "up", "down"}
    assert train(run_of(LinearProbe(), old=None)).metrics.keys() == {"val", "test"}


def test_features_that_only_moved_and_grew_are_read_again_once_they_are_standardised() -> None:
    """Drift without any loss: y = 3x + 5 of every feature."""
    backbone = VIT.build(device="cpu", seed=0, output=NEW.output)
    last = backbone.module.register_forward_hook(lambda module, args, y: 3.0 * y + 5.0)
    found = retained(run_of(LinearProbe()), backbone, device="cpu", precision="fp32").metrics
    last.remove()
    assert found["retained"]["top1"] < found["untouched"]["top1"] - 0.2
    assert found["restandardised"]["top1"] == pytest.approx(found["untouched"]["top1"], abs=0.02)
    assert found["refitted"]["top1"] == pytest.approx(found["untouched"]["top1"], abs=0.02)


def test_nothing_of_the_new_task_depends_on_the_old_one() -> None:
    with_old, without = (train(run_of(FullFineTuning(), old=old)) for old in (OLD, None))
    assert learned(with_old.curve) == learned(without.curve)
    assert with_old.metrics["test"] == without.metrics["test"]


def test_the_old_task_is_part_of_a_runs_identity_and_of_no_other() -> None:
    with_old, without = run_of(LinearProbe()), run_of(LinearProbe(), old=None)
    assert identity(with_old) != identity(without)
    assert identity(without) == identity(Run(NEW, VIT, LinearProbe(), TRAINING, seed=0))


@pytest.mark.long
def test_a_study_keeps_tells_and_draws_it(tmp_path: Path) -> None:
    study: Study = replace(
        STUDY,
        methods=(LinearProbe(), FullFineTuning()),
        tune=Tune(trials=2, sampler="grid", pruner="none", over=("lr",)),
        retained=OLD,
        sweep=True,
    )
    records = Records(tmp_path / "tiny" / "smoke")
    finals, done = execute(records, study)
    assert all(record["retained"]["spec"] == repr(OLD) for record in finals)
    assert usable(finals[0], next(run for run in done if identity(run) == finals[0]["run_id"]), "cpu")
    trials = [record for record in records.all() if record["phase"] == "tune"]
    assert trials and not any("retained" in record["metrics"] for record in trials)
    swept = [record for record in records.all() if record["phase"] == "sweep"]
    assert len(swept) == len(finals) and all("refitted" in record["metrics"] for record in swept)
    parts = groups(records.all())
    assert has_old_task(parts)
    learning_vs_forgetting(parts)
    with drawing():
        assert overlaps(by_rate(parts).figure) == []
    full = next(c for c in parts[0].configurations if c.name == "FullFineTuning")
    assert [point.chosen for point in curve(parts[0], full)].count(True) == 1 and len(curve(parts[0], full)) > 1
    said = "\n".join(old_task_section(parts[0]))
    assert "head fitted again" in said and "intruder dimensions" in said and "majority class" in said
    table = dataframes.results(parts).set_index("method")
    assert table.loc["linear probe", "digits after"] == table.loc["linear probe", "digits before"]
    score = lambda configuration: configuration.retained  # noqa: E731
    contrast = Contrast("tiny", Pick("LinearProbe"), Pick("FullFineTuning"), score=score)
    interval, said, *_ = contrast.found(Evidence(tmp_path, "smoke"))
    assert interval is not None and "linear probe − full fine-tuning" in said
    assert execute(records, study)[1] == []


def test_curves_are_read_at_one_score_and_never_beyond_what_was_measured() -> None:
    def points(*pairs: tuple[float, float]) -> list[Point]:
        return [Point(10.0**at, new, {"refitted": old}, False, 1) for at, (new, old) in enumerate(pairs)]

    steep, flat, high = points((0.5, 0.9), (0.7, 0.7)), points((0.5, 0.8), (0.6, 0.6)), points((0.65, 0.5), (0.8, 0.4))
    broken = points((0.65, 0.9), (0.7, 0.8), (0.3, 0.1))  # a rate too high: it falls past the level, to no use
    assert matched([steep, flat, high, broken], "refitted") == (0.6, [pytest.approx(0.8), 0.6, None, None])


def test_methods_are_compared_seed_by_seed_at_the_score_that_both_reach() -> None:
    old = {"spec": "Text('old')", "name": "old", "family": "text", "metric": "top1"}

    def runs(case: Case, points: list[tuple[float, float, float]]) -> list[dict[str, Any]]:
        made = []
        for seed, off in enumerate((0.0, 0.02)):
            for phase, (rate, new, kept) in zip(("final", "sweep"), points, strict=True):
                metrics = {"test": {"top1": new}, "refitted": {"top1": kept - off}, "untouched": {"top1": 0.9}}
                metrics["retained"] = {"top1": 0.5}
                training = {"lr": rate, "epochs": 3, "precision": "bf16"}
                made.append(record(case, seed, phase=phase, metrics=metrics, retained=old, training=training))
        return made

    lora = runs(LORAS[3], [(2e-3, 0.7, 0.8), (1e-3, 0.5, 0.9)])
    (group,) = groups([*lora, *runs(FULL, [(2e-5, 0.6, 0.7), (1e-5, 0.5, 0.8)])])
    one, other = (next(c for c in group.configurations if c.name == name) for name in ("LoRA", "FullFineTuning"))
    found = beyond(group, one, other, "refitted")  # at .6: .85 less .70, on both seeds
    assert found is not None and found.pairs == 2 and found.mean == pytest.approx(0.15)
    assert "+0.150" in "\n".join(old_task_section(group))


def test_a_sweep_needs_a_grid() -> None:
    with pytest.raises(BadInput, match="sweep=True"):
        replace(STUDY, sweep=True, tune=Tune(trials=2))


def test_an_old_task_that_does_not_fit_is_refused_before_anything_runs() -> None:
    with pytest.raises(BadInput, match="classification task of the family"):
        replace(STUDY, retained=Detection("composited-digits", train=16, val=8, test=8))
