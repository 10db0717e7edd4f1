"""Studies of costs: a few steps on random weights, memory on a GPU estimated, figures and page from the records."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.errors import BadInput
from bench.execution import cost_study
from bench.execution.cost_study import Costing
from bench.execution.launch import at_once
from bench.execution.runner import Watcher
from bench.methods import FullFineTuning, LinearProbe, LoRA
from bench.models import Timm
from bench.records import Records
from bench.report import redraw
from bench.study import Costs, Study, load
from bench.tasks import Images
from bench.training.recipe import Training

COSTS = Path(__file__).parents[2] / "studies" / "costs.py"
LARGER = Timm("test_vit2", weights="random", image_size=32)
STUDY = Study(
    name="costs",
    question="What does it cost?",
    tasks=(Images("digits"),),
    models=(Timm("test_vit", weights="random", image_size=32),),
    methods=(LinearProbe(), FullFineTuning(), LoRA(rank=2)),
    training=Training(batch_size=2, precision="fp32"),
    seeds=(0,),
    costs=Costs(steps=2, batches=(1, 4), estimated=(LARGER,)),
)

pytestmark = pytest.mark.xdist_group("costs")  # one worker: the study takes seconds to make


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Records:
    records = Records(tmp_path_factory.mktemp("costs"))
    Costing(STUDY, "smoke", records)()
    return records


def of(records: Records, model: str, method: str) -> dict[str, Any]:
    return next(r for r in records.all() if (r["model"]["name"], r["method"]["name"]) == (model, method))


def test_every_cell_is_recorded_with_its_costs_and_no_score(measured: Records) -> None:
    assert {(r["phase"], r["status"], str(r["metrics"])) for r in measured.all()} == {("costs", "ok", "{}")}
    assert len(measured.all()) == 6
    full, lora, probe = (of(measured, "test_vit", name) for name in ("FullFineTuning", "LoRA", "LinearProbe"))
    for record in (full, lora, probe):
        assert record["step"]["seconds"] > 0
        assert record["inference"]["latency"].keys() >= {"base", "unmerged"}
        assert record["memory"]["cuda"].keys() == {"1", "4"}
    assert "merged" in lora["inference"]["latency"]
    assert probe["step"]["flops"] < lora["step"]["flops"] < full["step"]["flops"]
    assert probe["step"]["prefix"] > 0  # the frozen network runs before, and is not in the step
    assert "prefix" not in full["step"]
    assert full["checkpoint"]["backbone"] == 4 * full["parameters"]["backbone"]
    assert full["memory"]["cuda"]["4"]["peak"] > lora["memory"]["cuda"]["4"]["peak"]


def test_of_a_model_that_is_too_large_for_steps_memory_is_estimated(measured: Records) -> None:
    record = of(measured, "test_vit2", "FullFineTuning")
    assert record["step"] == record["inference"] == {}
    assert record["parameters"]["backbone"] > of(measured, "test_vit", "FullFineTuning")["parameters"]["backbone"]
    breakdown = record["memory"]["cuda"]["4"]["breakdown"]
    assert breakdown["optimizer"] == pytest.approx(
        2 * record["memory"]["cuda"]["4"]["breakdown"]["gradients"], rel=0.02
    )


def test_what_is_recorded_is_not_measured_again(measured: Records) -> None:
    fresh: list[bool] = []
    Costing(STUDY, "smoke", measured, watcher=Watcher(finished=lambda run, record, new: fresh.append(new)))()
    assert fresh == [False] * 6
    assert all(row.done and not row.todo for row in cost_study.plan(STUDY, measured, device="cpu"))


def test_what_does_not_fit_is_not_tried_and_its_memory_is_still_estimated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cost_study, "available", lambda device: 2.0**20)
    study = replace(STUDY, methods=(FullFineTuning(),), costs=Costs(steps=1, batches=(1,)))
    (record,) = Costing(study, "smoke", Records(tmp_path))()
    assert record["status"] == "out_of_memory"
    assert "free" in record["reason"]
    assert record["memory"]["cuda"]["1"]["peak"] > 2**20
    assert record["parameters"]["backbone"] > 0


def test_another_study_moves_older_costs_aside(tmp_path: Path) -> None:
    records = Records(tmp_path)
    one = replace(STUDY, methods=(LinearProbe(),), costs=Costs(steps=1, batches=(1,)))
    Costing(one, "smoke", records)()
    Costing(replace(one, costs=Costs(steps=2, batches=(1,))), "smoke", records)()
    assert len(records.all()) == 1
    assert len(list(records.retired.iterdir())) == 1


def test_a_record_of_another_device_is_moved_aside_not_lost(tmp_path: Path) -> None:
    records = Records(tmp_path)
    study = replace(STUDY, methods=(LinearProbe(),), costs=Costs(steps=1, batches=(1,)))
    (first,) = Costing(study, "smoke", records)()
    records.write(first | {"environment": first["environment"] | {"device_name": "another"}})
    (again,) = Costing(study, "smoke", records)()
    assert again["environment"]["device_name"] != "another"
    (aside,) = records.retired.iterdir()
    assert '"another"' in aside.read_text()


def test_figures_and_page_show_networks_side_by_side(measured: Records) -> None:
    written = {path.name: path for path in redraw(measured.folder, question=STUDY.question)}
    kinds = ("memory_breakdown", "memory_vs_batch", "memory_vs_size", "step_time", "latency")
    assert {f"{kind}.png" for kind in kinds} <= written.keys()
    before = {name: path.read_bytes() for name, path in written.items()}
    page = before["README.md"].decode()
    assert "6 that measure costs alone (6 ok)" in page
    assert "nothing was learned" in page
    assert "not measured on one" not in page  # said below the figures
    assert "### test_vit2 (385k)" in page
    redraw(measured.folder)
    assert before == {name: path.read_bytes() for name, path in written.items()}


def test_costs_are_measured_one_at_a_time() -> None:
    assert at_once([STUDY], None) == 1
    assert at_once([replace(STUDY, costs=None)], 3) == 3
    with pytest.raises(BadInput, match="one at a time"):
        at_once([STUDY], 2)
    with pytest.raises(BadInput, match="at least one step"):
        Costs(steps=0)


def test_the_study_has_every_method_on_growing_networks() -> None:
    images, text, detection = load(COSTS, "laptop")
    assert [len({cell.model for cell in part.cells()}) for part in (images, text, detection)] == [4, 2, 1]
    assert all(part.costs and not part.costs.estimated for part in load(COSTS, "full"))
