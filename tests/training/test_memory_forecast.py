"""Memory: exact on small networks, the same estimated and tracked, and what others reported of it."""

from __future__ import annotations

import gc
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import bench.training.memory_forecast
from bench.costs.allocator import BLOCK
from bench.costs.cuda_rules import CudaRules
from bench.costs.cuda_share import WORKSPACE, Followed
from bench.costs.memory import PARTS, Memory, Moment, Tracker, track
from bench.costs.units import readable, size
from bench.errors import BadInput
from bench.execution.console import too_much
from bench.methods import METHODS, BitFit, FullFineTuning, LinearProbe, LoRA, Method
from bench.models import HuggingFace, NeedsValues, Timm, checkpoint
from bench.records import Records
from bench.study import Study
from bench.study.plan import estimated, plan
from bench.study.recording import memory
from bench.study.tune import Tune
from bench.tasks import Detection, Images, Text
from bench.training.memory_fit import largest_batch
from bench.training.memory_forecast import FEW, Forecast, _extended, _forecast, forecast
from bench.training.method_checks import CNN, VIT
from bench.training.recipe import Training
from bench.training.run import Run, assemble

BERT = HuggingFace("test-bert", weights="random", max_length=24)
DIGITS, NAMES, BOXES = Images("digits"), Text("unicode-names"), Detection("composited-digits")
PLAIN = Training(batch_size=4, precision="fp32")
BASE = Timm("vit_base_patch16_224", weights="random")


@dataclass
class Sums:
    """A step of two layers without biases, 8 → 16 → 4, whose loss is the sum of its outputs."""

    network: nn.Module
    rule: torch.optim.Optimizer

    def forward(self, x: Tensor, targets: Any) -> Tensor:
        return self.network(x).sum()

    def backward(self, loss: Tensor) -> None:
        loss.backward()

    def update(self, step: int, steps: int) -> None:
        self.rule.step()


def two_layers(rule: Any = torch.optim.AdamW, **options: Any) -> Sums:
    network = nn.Sequential(nn.Linear(8, 16, bias=False), nn.ReLU(), nn.Linear(16, 4, bias=False))
    return Sums(network, rule(network.parameters(), **options))


def a_run(method: Method, model: Any = VIT, task: Any = DIGITS, **changes: Any) -> Run:
    return Run(task, model, method, replace(PLAIN, **changes), seed=0)


def parts(run: Run, *, traced: bool, device: str = "cpu") -> dict[str, dict[str, int]]:
    found = _forecast(run, device, traced=traced).memory.phases
    return {phase: moment.breakdown for phase, moment in found.items()}


WEIGHTS = 4 * (8 * 16 + 16 * 4)
STEPS = 2 * 4
"""AdamW counts the steps of each of the two matrices, in float32."""


def test_every_byte_of_a_small_step_is_where_it_was_computed_by_hand():
    batch = 5
    memory = track(two_layers(fused=True), lambda: (torch.randn(batch, 8), None))
    given, hidden, outputs = 4 * batch * 8, 4 * batch * 16, 4 * batch * 4
    always = {"weights": WEIGHTS, "optimizer": 2 * WEIGHTS + STEPS}
    # The first layer's outputs are still there while the ReLU makes its own.
    assert memory.phases["forward"].breakdown == {
        **always, "gradients": 0, "activations": 2 * hidden, "scratch": 0, "other": given
    }  # fmt: skip
    # One gradient of a parameter, of the outputs and of the hidden layer after the other; the last: both gradients, the
    # ReLU's outputs and the batch gone.
    assert memory.phases["update"].breakdown == {
        **always, "gradients": WEIGHTS, "activations": 0, "scratch": 0, "other": 0
    }  # fmt: skip
    in_two = track(two_layers(fused=True), lambda: (torch.randn(batch, 8), None), passes=2)
    assert in_two.phases["forward"].breakdown["other"] == given, "a part of a batch takes the place of the one before"
    behind = track(two_layers(fused=True), lambda: (torch.randn(batch, 8), None), prefix=torch.clone)
    assert behind.phases["forward"].breakdown["other"] == 0, "training reads what the prefix made, and no inputs"
    assert outputs < hidden and memory.peak.total == max(moment.total for moment in memory.phases.values())


def test_weights_gradients_and_adams_state_are_as_one_to_one_to_two():
    network = nn.Sequential(*(nn.Linear(64, 64) for _ in range(3)))
    step = Sums(network, torch.optim.AdamW(network.parameters(), fused=True))
    found = track(step, lambda: (torch.randn(2, 64), None)).phases["update"].breakdown
    weights = 4 * sum(p.numel() for p in network.parameters())
    counters = 4 * len(list(network.parameters()))
    assert (found["weights"], found["gradients"], found["optimizer"]) == (weights, weights, 2 * weights + counters)


def test_momentum_is_once_the_weights_and_sgd_without_it_nothing():
    assert track(two_layers(torch.optim.SGD, momentum=0.9), lambda: (torch.ones(2, 8), None)).peak.breakdown[
        "optimizer"
    ] == WEIGHTS  # fmt: skip
    assert track(two_layers(torch.optim.SGD), lambda: (torch.ones(2, 8), None)).peak.breakdown["optimizer"] == 0


def test_what_is_freed_is_no_longer_counted_and_views_count_once():
    tracker = Tracker()
    with tracker, tracker.during("here", "activations"):
        first = torch.zeros(100)
        view = first.view(10, 10).t()[2:]
        second = first + 1
        assert tracker.bytes["activations"] == 800
        del first
        assert tracker.bytes["activations"] == 800  # the view holds it
        del view
        assert tracker.bytes["activations"] == 400
        del second
    assert tracker.bytes["activations"] == 0 and tracker.found().peak.total == 800
    assert [total for _, total in tracker.curve] == [0, 400, 800]


def test_cudas_blocks_are_rounded_up():
    found = (
        track(two_layers(fused=True), lambda: (torch.ones(1, 8), None), tracker=Tracker(block=BLOCK))
        .phases["update"]
        .breakdown
    )
    assert found["weights"] == found["gradients"] == 2 * BLOCK  # of 512 and 256 bytes
    assert found["optimizer"] == 6 * BLOCK and found["other"] == 0


def test_tracking_leaves_no_hook_behind():
    step = two_layers()
    track(step, lambda: (torch.ones(2, 8), None))
    tracked = Tracker()
    with tracked:
        step.backward(step.forward(torch.ones(2, 8), None))
    assert tracked.bytes["gradients"] == 0


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("places", [((BERT, NAMES), (VIT, DIGITS)), ((CNN, DIGITS),)], ids=["transformer", "cnn"])
def test_the_estimate_is_tracked_for_every_method(name: str, places: Any):
    """Of transformers on that of texts, or where the method does not fit it on that of pictures, which takes longer."""
    for model, task in places:
        try:
            run = a_run(METHODS[name](), model, task)
            estimate = parts(run, traced=True)
            break
        except BadInput:
            continue
    else:
        pytest.skip(f"{name}() fits none of them")
    tracked = parts(run, traced=False)
    assert list(estimate) == list(tracked) and "evaluation" in estimate
    for phase, breakdown in tracked.items():
        whole = sum(breakdown.values())
        assert sum(estimate[phase].values()) == pytest.approx(whole, rel=0.005), phase
        # FacT's factors are shared: two moments of its backward pass are as high, and either may be the peak.
        for part in PARTS if estimate[phase]["gradients"] == breakdown["gradients"] or name != "FacT" else ():
            assert estimate[phase][part] == pytest.approx(breakdown[part], abs=0.01 * whole), (phase, part)


@pytest.mark.parametrize(
    "changes",
    [
        {"precision": "bf16"},
        {"optimizer": "sgd"},
        {"activation_checkpointing": True, "checkpoint_every": 2},
        {"accumulate": 3, "clip_norm": 0.0},
    ],
    ids=repr,
)
@pytest.mark.parametrize("method", [FullFineTuning(), LoRA(rank=2), LinearProbe()], ids=repr)
def test_the_estimate_is_tracked_however_it_trains(method: Method, changes: dict[str, Any]):
    for model, task in ((VIT, DIGITS), (BERT, NAMES)):
        run = a_run(method, model, task, **changes)
        estimate, tracked = parts(run, traced=True), parts(run, traced=False)
        for phase in tracked:
            assert sum(estimate[phase].values()) == pytest.approx(sum(tracked[phase].values()), rel=0.01), phase


def test_a_batch_in_parts_holds_the_activations_of_a_part_and_gradients_beside_them():
    whole, apart, part = (
        forecast(a_run(FullFineTuning(), batch_size=n, accumulate=k)).memory.phases["forward"].breakdown
        for n, k in ((16, 1), (16, 4), (4, 1))
    )
    assert apart["activations"] == part["activations"] < whole["activations"] / 3
    assert apart["gradients"] == sum(p.nbytes for p in VIT.build(device="meta").module.parameters()) + 650 * 4
    assert whole["gradients"] == 0


@pytest.mark.filterwarnings("ignore:memory of composited-digits")
def test_a_detectors_step_is_extended_from_small_batches():
    run = a_run(LoRA(rank=2), replace(VIT, image_size=128), BOXES, batch_size=2 * FEW[-1])
    extended, tracked = forecast(run), _forecast(run, "cpu", traced=False)
    assert (extended.kind, extended.batch) == ("extended", 2 * FEW[-1])
    assert extended.peak == pytest.approx(tracked.peak, rel=0.01)
    assert forecast(replace(run, training=replace(PLAIN, batch_size=FEW[0]))).kind == "tracked"


def test_a_part_that_shrinks_as_the_peak_moves_is_not_extended_below_nothing():
    few, more = (
        Forecast(Memory(moment, {"forward": moment}), "tracked", batch, "cuda", "bf16")
        for batch, moment in (
            (2, Moment("forward", {"weights": 100, "gradients": 100, "activations": 20})),
            (4, Moment("forward", {"weights": 100, "gradients": 40, "activations": 140})),
        )
    )
    found = _extended([few, more], 8).memory.phases["forward"].breakdown
    assert found == {"weights": 100, "gradients": 40, "activations": 380}


@pytest.mark.filterwarnings("ignore:memory of")
def test_a_network_that_needs_values_is_tried_for_real_where_it_is_small(monkeypatch):
    mixture = HuggingFace("tiny-mixtral", weights="random", max_length=16)
    run = a_run(FullFineTuning(), mixture, NAMES, batch_size=2)
    assert forecast(run, device="cuda").kind == "tracked"
    monkeypatch.setattr(bench.training.memory_forecast, "FOR_REAL", 0)
    with pytest.raises(NeedsValues):
        forecast(run, device="cuda")


@pytest.fixture(scope="module")
def base() -> dict[str, dict[str, int]]:
    """ViT-B/16 at 224 px, 64 pictures, as a GPU trains it."""
    methods = {
        "full": FullFineTuning(), "lora": LoRA(), "probe": LinearProbe(), "bitfit": BitFit(),
        "last 6": LoRA(blocks=-6), "last 3": LoRA(blocks=-3),
    }  # fmt: skip
    training = Training(batch_size=64)
    return {
        name: forecast(Run(DIGITS, BASE, method, training, seed=0), device="cuda").memory.phases["forward"].breakdown
        for name, method in methods.items()
    }


def test_lora_saves_gradients_and_state_but_little_of_the_activations(base: dict[str, dict[str, int]]):
    assert base["lora"]["optimizer"] < 0.01 * base["full"]["optimizer"]
    assert base["lora"]["activations"] > 0.7 * base["full"]["activations"]
    assert base["bitfit"]["activations"] > 0.65 * base["full"]["activations"]


def test_a_probe_saves_nearly_all_of_the_activations(base: dict[str, dict[str, int]]):
    assert base["probe"]["activations"] < 0.01 * base["full"]["activations"]


def test_lora_in_the_last_blocks_saves_in_proportion(base: dict[str, dict[str, int]]):
    """Of the twelve blocks; what a forward pass needs besides, whatever trains, comes on top."""
    whole, half, quarter = (base[name]["activations"] for name in ("lora", "last 6", "last 3"))
    assert whole - half == pytest.approx(2 * (half - quarter), rel=0.02)
    assert half < 0.55 * whole and quarter < 0.3 * whole


def test_cuda_has_its_own_rules():
    half = torch.ones(2, 4, dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        assert half.softmax(1).dtype == torch.bfloat16
        with CudaRules():
            assert half.softmax(1).dtype == nn.functional.layer_norm(half, (4,)).dtype == torch.float32
            assert (half @ half.t()).dtype == torch.bfloat16
    with CudaRules():
        assert half.softmax(1).dtype == torch.bfloat16  # there is no autocast


def test_reserved_is_what_is_allocated_with_cudas_own_share_and_timms_switch_is_told():
    from timm.layers import set_fused_attn

    try:
        set_fused_attn(False)
        with pytest.warns(UserWarning, match="TIMM_FUSED_ATTN=0"):
            found = forecast(a_run(LoRA(rank=2)), device="cuda")
    finally:
        set_fused_attn(True)
    own = found.own
    assert own is not None and own.workspaces == 2 * WORKSPACE and own.fragmentation > 0 < own.rounding < found.peak
    assert found.reserved == found.peak + own.workspaces + own.fragmentation


def test_attention_with_dropout_keeps_no_probabilities_on_cuda():
    peaks = {}
    for device in ("cpu", "cuda"):
        for dropout in (0.0, 0.1):
            run = a_run(FullFineTuning(), replace(BERT, max_length=256, dropout=dropout), NAMES)
            found = forecast(run, device=device).memory.phases["forward"].breakdown
            peaks[device, dropout] = found["activations"]
    assert peaks["cuda", 0.1] < 1.2 * peaks["cuda", 0.0] < 0.5 * peaks["cpu", 0.0]
    assert peaks["cpu", 0.1] > 1.5 * peaks["cpu", 0.0]


def test_a_record_has_what_was_measured_and_what_was_estimated():
    run = a_run(LoRA(rank=2))
    peak = forecast(run).peak
    here = memory(run, {}, device="cpu")
    assert (here["peak"], here["kind"], here["forecast"]["peak"]) == (peak, "foretold", peak)
    there = memory(run, {"train": {"allocated": 7, "reserved": 9}}, device="cpu")
    assert (there["peak"], there["kind"], there["forecast"]["peak"]) == (7, "measured", peak)
    assert there["allocator"]["train"]["reserved"] == 9


def test_a_forecast_that_fails_costs_no_record():
    broken = a_run(LoRA(rank=2, at=("conv",)))
    found = memory(broken, {}, device="cpu")
    assert found["peak"] is None and found["kind"] == "unknown" and "no site matches" in found["forecast"]["reason"]


def test_checkpointing_spares_memory_and_changes_no_gradient():
    plain = a_run(FullFineTuning())
    kept = a_run(FullFineTuning(), activation_checkpointing=True)
    assert forecast(kept).memory.phases["forward"].total < forecast(plain).memory.phases["forward"].total
    found = []
    for run in (plain, kept):
        backbone, network = assemble(run, device="cpu")
        network(backbone.example(2)).square().sum().backward()
        found.append([p.grad for p in network.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_checkpointing_needs_blocks():
    backbone, _ = assemble(a_run(LinearProbe(), CNN), device="meta")
    with pytest.raises(BadInput, match="residual blocks"):
        checkpoint(replace(backbone, sites=tuple(site for site in backbone.sites if site.role != "block")))


@pytest.mark.long
def test_the_largest_batch_fits_and_the_next_does_not():
    run, limit = a_run(LoRA(rank=2)), 20 * 2**20
    found = largest_batch(run, limit)
    more = forecast(replace(run, training=replace(run.training, batch_size=found.batch + 1)))
    assert found.batch > 1 and found.peak <= limit < more.peak


def test_too_little_memory_says_what_the_weights_take():
    with pytest.raises(BadInput, match="weights alone take"):
        largest_batch(a_run(LoRA(rank=2)), 1000)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("16GiB", 16 * 2**30), ("24 GB", 24 * 10**9), ("800MiB", 800 * 2**20), ("1.5g", 3 * 2**29), ("1000", 1000)],
)
def test_sizes_are_read(text: str, wanted: int):
    assert size(text) == wanted


@pytest.mark.parametrize("text", ["lots", "", "-1GiB", "0", "16GiBs", "1e3"])
def test_what_is_no_size_is_refused(text: str):
    with pytest.raises(BadInput, match="write 16GiB"):
        size(text)


def test_bytes_are_written_for_people():
    assert [readable(n) for n in (0, 999, 2**20, 1010 * 2**20, 5595 * 2**20)] == [
        "0 B", "999 B", "1 MiB", "1,010 MiB", "5.46 GiB"
    ]  # fmt: skip


@pytest.mark.parametrize("device", ["gpu", "meta", ""])
def test_a_device_without_memory_is_refused(device: str):
    with pytest.raises(BadInput, match="device"):
        forecast(a_run(LoRA(rank=2)), device=device)


@pytest.mark.gpu
@pytest.mark.parametrize("method", [FullFineTuning(), LoRA(), LinearProbe(), BitFit()], ids=repr)
@pytest.mark.parametrize("model", [BASE, Timm("vit_small_patch16_224", weights="random")], ids=repr)
def test_cuda_allocates_what_was_estimated(method: Method, model: Timm):
    run = Run(DIGITS, model, method, Training(batch_size=64), seed=0)
    estimate = forecast(run, device="cuda").memory.phases
    gc.collect()
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    from bench.training.memory_forecast import _tracked

    backbone, network = assemble(run, device="cuda")
    _tracked(run, backbone, network, "bf16", Followed("cuda"))
    allocated = torch.cuda.max_memory_allocated() - before
    assert max(moment.total for moment in estimate.values()) == pytest.approx(allocated, rel=0.08)


def test_a_plan_foretells_memory_and_says_what_does_not_fit(capsys: pytest.CaptureFixture[str]):
    study = Study(
        name="s", question="?", tasks=(Images("digits", train=20, val=10, test=10),), models=(VIT,),
        methods=(FullFineTuning(), LinearProbe()), training=PLAIN, tune=Tune(trials=1),
    )  # fmt: skip
    rows = plan(study, Records(Path("nowhere")), timed=False)
    need = {
        name: forecast(a_run(method)).peak for name, method in (("full", FullFineTuning()), ("probe", LinearProbe()))
    }
    assert need["probe"] < need["full"]
    found = estimated(study, rows, device="cpu", limit=need["full"] - 1)
    assert [row.memory.peak for row in found if row.memory] == [need["full"], need["probe"]]
    assert found[0].speed is None and found[0].seconds is None and found[1].speed is not None
    too_much(found, need["full"] - 1)
    told = capsys.readouterr().out
    assert told.startswith("warning: FullFineTuning() needs about") and "LinearProbe" not in told
