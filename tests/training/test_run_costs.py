"""Time, operations, energy, latency and checkpoints: counted by hand where that can be done."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from bench.costs.energy import Energy
from bench.costs.time import COUNTED, Clock, side_by_side
from bench.methods import BitFit, FullFineTuning, Houlsby, LinearProbe, LoRA, Method
from bench.models import HuggingFace
from bench.tasks import Images, Text
from bench.training.inference import stored, versions
from bench.training.loop import train
from bench.training.method_checks import CNN, VIT
from bench.training.recipe import Training
from bench.training.run import Run, assemble
from tests.support.tiny_study import learned

CPU = torch.device("cpu")
BERT = HuggingFace("test-bert", weights="random", max_length=24)
DIGITS, NAMES = Images("digits", train=60, val=40, test=60), Text("unicode-names", train=60, val=40, test=60)
PLAIN = Training(epochs=2, batch_size=8, precision="fp32")

pytestmark = pytest.mark.usefixtures("own_cache")


def a_run(method: Method, model: Any = VIT, task: Any = DIGITS, **changes: Any) -> Run:
    return Run(task, model, method, replace(PLAIN, **changes), seed=0)


def test_a_clock_tells_phases_apart_and_counts_operations_by_hand():
    clock, layer = Clock(CPU), nn.Linear(16, 4, bias=False)
    for _ in range(COUNTED + 5):
        with clock.step() as lap:
            x = torch.ones(8, 16) @ torch.eye(16)  # of the data: not counted
            lap("data")
            loss = layer(x).sum()
            time.sleep(0.02)
            lap("forward")
            loss.backward()
            lap("backward")
    found = clock.found()
    assert found["flops"] == 2 * (2 * 8 * 16 * 4)  # forward, and the gradient of the weights; the inputs need none
    assert found["steps"] == 3  # the second half of five
    assert found["forward"] >= 0.02 > found["backward"] and found["seconds"] >= found["forward"]
    assert found["flops_per_second"] == pytest.approx(found["flops"] / (found["seconds"] - found["data"]), rel=0.2)


def test_too_few_steps_tell_nothing():
    clock = Clock(CPU)
    for _ in range(COUNTED):
        with clock.step() as lap:
            lap("data")
    assert clock.found() == {}


@pytest.mark.parametrize(("model", "task"), [(VIT, DIGITS), (CNN, DIGITS), (BERT, NAMES)])
def test_operations_of_a_run_are_those_of_torchs_counter(model: Any, task: Any):
    run = a_run(FullFineTuning(), model, task, batch_size=10, epochs=1)
    outcome = train(run)
    backbone, network = assemble(run, device="cpu")
    with FlopCounterMode(display=False) as counter:
        network(backbone.batch(10)).sum().backward()
    assert outcome.step["flops"] == pytest.approx(counter.get_total_flops(), rel=0.1 if model is BERT else 1e-9)
    phases = ("data", "forward", "backward", "update")
    assert outcome.step["seconds"] == pytest.approx(sum(outcome.step[phase] for phase in phases), rel=0.5)


def test_lora_computes_less_than_full_fine_tuning_and_a_probe_next_to_nothing():
    flops = {type(m).__name__: train(a_run(m)).step["flops"] for m in (FullFineTuning(), LoRA(rank=1), LinearProbe())}
    full, lora, probe = flops.values()
    assert 0.6 * full < lora < 0.85 * full  # no gradients of weights: two thirds, and the adapters
    assert probe < 0.01 * full  # the backbone runs once for all, before


def test_measuring_changes_no_result(monkeypatch: pytest.MonkeyPatch):
    run = a_run(LoRA(rank=2))
    measured = train(run)
    monkeypatch.setattr("bench.costs.time.COUNTED", 0)
    assert learned(train(run).curve) == learned(measured.curve)


def test_calls_take_turns():
    order: list[str] = []
    calls = {name: (lambda name=name: (order.append(name), time.sleep(0.01))) for name in "abc"}
    found = side_by_side(calls)
    assert order[:9] == list("abc" * 3) and all(0.01 <= seconds < 0.1 for seconds in found.values())


@pytest.mark.parametrize(
    ("method", "forms"),
    [
        (LoRA(rank=2), ("base", "unmerged", "merged")),
        (Houlsby(width=4), ("base", "unmerged")),
        (FullFineTuning(), ("base", "unmerged")),
        (LinearProbe(), ("base", "unmerged")),
    ],
    ids=repr,
)
@pytest.mark.parametrize(("model", "task"), [(VIT, DIGITS), (BERT, NAMES)])
def test_what_is_timed_computes_what_it_should(method: Method, forms: tuple[str, ...], model: Any, task: Any):
    run = a_run(method, model, task)
    backbone, network = assemble(run, device="cpu")
    torch.manual_seed(0)
    for p in network.backbone.parameters():
        p.data += 0.05 * torch.randn_like(p) * p.requires_grad
    found = versions(run, network, device="cpu")
    x = backbone.batch(3)
    with torch.inference_mode():
        outputs = {name: form(x) for name, form in found.items()}
    assert tuple(found) == forms
    if "merged" in forms:
        assert torch.allclose(outputs["merged"], outputs["unmerged"], atol=1e-5)
        assert found["merged"] is not network and hasattr(network, "features")
    changed = not torch.allclose(outputs["base"], outputs["unmerged"], atol=1e-4)
    assert changed == (not isinstance(method, LinearProbe))


def test_a_tested_run_has_latency_throughput_and_checkpoint():
    outcome = train(a_run(LoRA(rank=2)))
    found = outcome.inference
    assert set(found["latency"]) == set(found["throughput"]) == {"base", "unmerged", "merged"} and found["batch"] == 8
    assert all(seconds > 0 for seconds in found["latency"].values())
    assert outcome.checkpoint == {"backbone": 4 * outcome.parameters["backbone"], "head": 4 * 650}
    for changes in ({"test": False}, {"timed": False}):  # a trial's is never asked for; one seed's stands for all
        assert train(replace(a_run(LoRA(rank=2)), **changes)).inference == {}


def test_what_cannot_be_timed_costs_no_run(monkeypatch: pytest.MonkeyPatch):
    def full(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate")

    monkeypatch.setattr("bench.training.inference.side_by_side", full)
    outcome = train(a_run(BitFit()))
    assert outcome.status == "ok" and outcome.inference == {"reason": "OutOfMemoryError: CUDA out of memory."}


def test_full_fine_tuning_of_a_cnn_stores_its_batch_statistics_and_lora_does_not():
    _, full = assemble(a_run(FullFineTuning(), CNN), device="cpu")
    state = full.backbone.state_dict()
    assert stored(full)["backbone"] == sum(tensor.nbytes for tensor in state.values())
    assert len(save(state)) == pytest.approx(stored(full)["backbone"], rel=0.02)  # as a file, with its head
    _, lora = assemble(a_run(LoRA(rank=2, at=("conv",)), CNN), device="cpu")
    assert stored(lora)["backbone"] == 4 * sum(p.numel() for p in lora.backbone.parameters() if p.requires_grad)


def test_energy_is_read_where_linux_reports_it(tmp_path: Path):
    for name, joules in (("intel-rapl:0", 5), ("intel-rapl:0:0", 3), ("intel-rapl:1", 2)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "energy_uj").write_text(f"{joules * 10**6}\n")
    meter = Energy(CPU, powercap=tmp_path)
    assert meter.read() == 7.0  # two packages; a core domain is within its package
    for _ in range(2):
        with meter.during("train"):
            file = tmp_path / "intel-rapl:1" / "energy_uj"
            file.write_text(str(int(file.read_text()) + 4 * 10**6))
    with meter.during("train"):
        file.write_text("0")  # the counter ran over
    assert meter.joules == {"train": 8.0}


def test_no_energy_is_told_where_none_is_reported(tmp_path: Path):
    meter = Energy(CPU, powercap=tmp_path)
    with meter.during("train"):
        pass
    assert meter.joules == {}
    assert Energy(torch.device("meta"), powercap=tmp_path).read() is None
