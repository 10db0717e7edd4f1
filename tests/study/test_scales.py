"""What a scale declares: fp32 that all CPUs share, one thread a run, parts that have no cell twice."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from bench.errors import BadInput
from bench.execution import parallelism
from bench.execution.runner import Runner
from bench.methods import FullFineTuning, LinearProbe, LoRA
from bench.records.environment import instructions, machine, portable
from bench.report.data.groups import groups
from bench.space import Choice
from bench.study import Study, load
from bench.study.plan import plan
from bench.study.recording import usable
from bench.study.scales import NIGHT_RATES, ONE_THREAD, declaring, night_rates
from bench.study.trials import Trials
from bench.study.tune import Tune
from bench.training import Training
from tests.support.tiny_study import STUDY

BATCHES = {"FullFineTuning": {"batch_size": Choice(8, 32, default=32)}}
TWO_PARTS = """
from dataclasses import replace
from bench.methods import FullFineTuning
from bench.study.tune import Tune
from tests.support.tiny_study import STUDY

def study(scale):
    first = replace(STUDY, methods=STUDY.methods[:1], tune=Tune(trials=2, pruner="none"))
    return first, replace(first, methods=STUDY.methods[:1] if {twice} else (FullFineTuning(),))
"""


def test_overnight_is_fp32_unless_a_study_says_otherwise():
    made = lambda **how: replace(STUDY, training=Training(epochs=1, **how)).training.precision  # noqa: E731
    with declaring("overnight"):
        assert (made(), made(precision="bf16")) == ("fp32", "bf16")
    with declaring("laptop"):
        assert made() == "auto"
    assert made() == "auto"


def test_scores_of_fp32_on_a_cpu_stand_beside_those_of_another():
    assert portable({"device": "cpu", "device_name": "any"}, "fp32")
    assert not portable({"device": "cpu"}, "bf16") and not portable({"device": "cuda"}, "fp32")
    one = {"device_name": "AMD EPYC", "instructions": ["avx2"], "threads": 1}
    assert machine(one) != machine(one | {"instructions": ["avx2", "avx512_bf16"]}) != machine(one | {"threads": 2})
    assert all(isinstance(name, str) for name in instructions())


@pytest.fixture(scope="module")
def finals(tmp_path_factory):
    """One seed of two methods in fp32, nothing tuned."""
    from bench.records import Records

    tune, training = Tune(trials=0, over=("lr",)), Training(epochs=1, precision="fp32")
    methods = (LinearProbe(), FullFineTuning())
    study = replace(STUDY, tune=tune, training=training, methods=methods, seeds=(0,))
    records = Records(tmp_path_factory.mktemp("untuned") / "s" / "overnight")
    return study, records, Runner(study, "overnight", records)()


def test_nothing_is_tuned_where_the_budget_is_nought(finals):
    study, records, found = finals
    assert [r["status"] for r in found] == ["ok", "ok"] and {r["phase"] for r in records.all()} <= {
        "final",
        "reference",
    }
    assert [r["training"]["lr"] for r in found] == [0.01, 3e-5], "the methods' own defaults"
    rows = plan(study, records, timed=False)
    assert [(row.done, row.todo) for row in rows] == [(1, 0), (1, 0)]
    assert [row.todo for row in plan(replace(study, seeds=(0, 1)), records, timed=False)] == [1, 1]
    tuned = replace(study, tune=Tune(trials=2, over=("lr",), untuned=False), seeds=(0, 1, 2))
    assert [row.todo for row in plan(tuned, records, timed=False)] == [5, 5], "no run with default values"


def test_a_night_goes_on_on_another_cpu(finals, monkeypatch):
    study, _, (record, _) = finals
    other = record["environment"] | {"device_name": "another", "threads": 8}
    run = Trials(study, next(study.cells())).finals(next(study.cells()), {})[0]
    assert usable(record, run, "cpu") and usable(record | {"environment": other}, run, "cpu")
    asked = replace(run, training=replace(run.training, precision="auto"))
    assert not usable(record | {"environment": other}, asked, "cpu")
    assert not usable(record | {"environment": other | {"device": "cuda"}}, run, "cpu")
    again = [json.loads(json.dumps(record)) | {"seed": seed, "run_id": f"{seed:016x}"} for seed in range(3)]
    for each, seconds in zip(again, (1.0, 3.0, 50.0), strict=True):
        each["time"] = {"train": seconds, "total": seconds}
    again[2]["environment"] = other
    (group,) = groups(again)
    (configuration,) = group.configurations
    assert len(configuration.score.values) == 3 and configuration.seconds.mean == 2.0, "seconds of one machine alone"
    assert group.device.startswith("2 machines (") and group.device.endswith(", fp32")
    names = {Trials(study, next(study.cells())).name}
    monkeypatch.setattr("bench.training.device.processor", lambda: "another")
    names.add(Trials(study, next(study.cells())).name)
    assert len(names) == 1, "a search goes on too"


def test_one_thread_a_run(monkeypatch):
    monkeypatch.setattr(parallelism, "_threads", lambda: 16)
    before = torch.get_num_threads()
    try:
        assert parallelism.share_out(2, "cpu", scale="overnight").threads == 1 and "overnight" in ONE_THREAD
    finally:
        torch.set_num_threads(before)


def test_the_size_of_a_batch_may_be_searched():
    tune = Tune(trials=2, sampler="grid", pruner="none", over=("batch_size",), spaces=BATCHES, untuned=0)
    study = replace(STUDY, methods=(FullFineTuning(),), tune=tune)
    cell = next(study.cells())
    assert tune.grid(cell.task, cell.method) == [{"batch_size": 8}, {"batch_size": 32}]
    run = Trials(study, cell).finals(cell, {"batch_size": 8})[0]
    assert run.training.batch_size == 8


def test_parts_share_a_family_but_no_cell(tmp_path):
    file = tmp_path / "parts.py"
    file.write_text(TWO_PARTS.format(twice=False))
    parts = load(file, "smoke")
    assert len(parts) == 2 and load(file, "smoke", family="images") == parts
    file.write_text(TWO_PARTS.format(twice=True))
    with pytest.raises(BadInput, match=r"two of its parts have LinearProbe\(\) on"):
        load(file, "smoke")
    assert isinstance(parts[0], Study)


def test_a_night_searches_a_decade_on_either_side_of_the_rate_that_earlier_studies_chose():
    methods = (LinearProbe(), FullFineTuning(), LoRA(rank=2), LoRA(rank=4))
    for of, rates in NIGHT_RATES.items():
        found = night_rates(of, methods)
        assert set(found) == {"LinearProbe", "FullFineTuning", "LoRA"}
        for name, space in found.items():
            assert (space["lr"].default, space["lr"].points(3)[1]) == (rates[name], pytest.approx(rates[name]))
            assert space["lr"].high / space["lr"].low == pytest.approx(100)
    with pytest.raises(BadInput, match="did you mean"):
        night_rates("image", methods)
