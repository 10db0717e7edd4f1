from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from bench.costs.cuda_rules import CudaRules
from bench.costs.cuda_share import WORKSPACE
from bench.costs.quantised import KINDS, packed_bytes
from bench.errors import BadInput
from bench.methods import FullFineTuning, LoRA, Method
from bench.models import HuggingFace, Timm
from bench.models.reduced import ReducedLinear
from bench.tasks import Images, Text
from bench.training import optimizers
from bench.training.gpu_setup import Setup
from bench.training.gpu_step import Estimate, estimate, prepared
from bench.training.recipe import Training
from bench.training.run import Run

TEXT = Run(Text("unicode-names"), HuggingFace("test-bert", max_length=32), FullFineTuning(), Training(batch_size=4), 0)
VIT = Run(Images("digits"), Timm("test_vit", image_size=32), FullFineTuning(), Training(batch_size=4), 0)


@cache
def of(method: Method = FullFineTuning(), run: Run = VIT, **setup: Any) -> Estimate:  # noqa: B008
    return estimate(replace(run, method=method), Setup(**setup))


def parts(found: Estimate, phase: str) -> dict[str, int]:
    return found.phases[phase].breakdown


def test_weights_gradients_and_state_are_those_of_the_precision() -> None:
    wide, narrow = of(), of(base="bf16")
    for phase, part, share in (("update", "weights", 1), ("update", "gradients", 1), ("update", "optimizer", 2)):
        assert abs(parts(wide, phase)[part] - share * wide.gradients) < 80_000  # blocks of 512 bytes, counters of steps
        assert parts(narrow, phase)[part] < 0.62 * parts(wide, phase)[part]
    assert wide.gradients == 2 * narrow.gradients
    assert narrow.allocated < wide.allocated <= wide.reserved < wide.shown


def test_foreach_makes_temporaries_as_large_as_what_trains_and_fused_does_not() -> None:
    foreach, fused, single = (parts(of(update=u), "update")["other"] for u in ("foreach", "fused", "one by one"))
    size = of().gradients
    assert 0.95 * size < foreach - fused < 1.6 * size
    assert fused <= single < foreach - 0.5 * size


def test_gradients_that_are_kept_or_in_buckets_are_counted() -> None:
    size, plain = of().gradients, of()
    for setup in ({"gradients": "zeroed"}, {"gradients": "freed late"}, {"accumulation": 4}):
        assert abs(parts(of(**setup), "forward")["gradients"] - size) < 40_000
    assert parts(plain, "forward")["gradients"] == 0
    assert abs(of(gpus=2).allocated - plain.allocated - size) < 80_000
    assert abs(of(gradients="zeroed").after - of().after) < 1024


@pytest.mark.parametrize(
    ("kind", "per_value"), [("adamw", 8), ("adamw 8-bit", 2), ("adamw paged", 0), ("sgd", 4), ("sgd plain", 0)]
)
def test_optimizers_have_their_documented_state(kind: str, per_value: int) -> None:
    p = torch.nn.Parameter(torch.zeros(256, 512))
    rule = optimizers.make(kind, "one by one", [p])
    p.grad = torch.ones_like(p)
    rule.step()
    held = sum(s.nbytes for s in rule.state[p].values() if isinstance(s, torch.Tensor) and s.numel() > 1)
    assert per_value * p.numel() <= held <= per_value * p.numel() * 1.02
    adafactor = optimizers.make("adafactor", "one by one", [p])
    adafactor.step()
    assert sum(s.nbytes for s in adafactor.state[p].values()) == 4 * (256 + 512)
    with pytest.raises(BadInput, match="did you mean"):
        optimizers.make("adamv", "foreach", [p])


@pytest.mark.parametrize("kind", KINDS)
def test_a_packed_base_takes_its_bytes_and_keeps_the_adapter_wide(kind: str) -> None:
    lora = LoRA(rank=2)
    whole, packed = (of(lora, TEXT, base=base, adapter="fp32") for base in ("bf16", kind))
    linear = sum(2 * n * m - packed_bytes(kind, (n, m)) for n, m in 2 * [*4 * [(32, 32)], (32, 64), (64, 32)])
    saved = parts(whole, "update")["weights"] - parts(packed, "update")["weights"]
    assert abs(saved - linear) < 20_000
    assert packed.gradients == whole.gradients > of(lora, TEXT, base="bf16").gradients
    assert parts(packed, "forward")["gradients"] == 0


def test_eager_attention_keeps_probabilities_and_dropout_a_byte_a_value() -> None:
    assert of(run=TEXT, attention="eager").allocated > of(run=TEXT).allocated
    x = torch.ones(64, 64, requires_grad=True)
    held: list[torch.Tensor] = []
    with CudaRules(), torch.autograd.graph.saved_tensors_hooks(lambda t: held.append(t) or t, lambda t: t):
        y = F.dropout(x, 0.5)
        assert F.dropout(x, 0.5, training=False) is x
    assert [t.nbytes for t in held] == [64 * 64]
    held.clear()
    q = torch.ones(1, 1, 64, 8, requires_grad=True)
    kept = torch.autograd.graph.saved_tensors_hooks(lambda t: held.append(t) or t, lambda t: t)
    with sdpa_kernel(SDPBackend.MATH), CudaRules(), kept:  # torch's own switch changes nothing
        F.scaled_dot_product_attention(q, q, q)
    assert all(t.shape[-2:] != (64, 64) for t in held)
    assert set(y.unique().tolist()) == {0.0, 2.0}


def test_a_cache_holds_keys_and_values_of_recomputed_blocks() -> None:
    """Two blocks, 4 × 32 tokens of 32 values, in float32."""
    run = replace(TEXT, training=replace(TEXT.training, activation_checkpointing=True))
    plain, cached = (parts(of(run=run, cache=cache), "forward")["activations"] for cache in (False, True))
    assert cached - plain == 2 * 2 * 4 * 32 * 32 * 4


def test_packed_layers_answer_in_the_precision_they_are_given() -> None:
    """bitsandbytes' do: behind a LayerNorm, whose output is float32 under autocast, all is float32."""
    backbone, _, mode = prepared(replace(TEXT, method=LoRA(rank=2)), Setup(base="nf4", autocast=True))
    layer = next(each for each in backbone.module.modules() if isinstance(each, ReducedLinear))
    with mode, torch.autocast("cpu", torch.bfloat16):
        for dtype in (torch.float32, torch.bfloat16):
            assert layer(torch.empty(2, layer.in_features, dtype=dtype)).dtype == dtype


def test_cudas_own_share_is_told_apart() -> None:
    found = of()
    own = found.own
    assert own.workspaces == 2 * WORKSPACE < parts(found, "forward")["other"]
    assert found.allocated + own.fragmentation + own.context == found.shown
    live = sum(1 for _ in VIT.model.build(device="meta").module.parameters())
    assert live < own.rounding < 512 * 40 * live  # of each block up to 511 bytes


def test_cublas_has_a_workspace_for_each_direction_and_a_wrong_base_is_told() -> None:
    assert parts(of(), "forward")["other"] >= 2 * WORKSPACE
    with pytest.raises(BadInput, match="did you mean"):
        Setup(base="nf5")


def test_the_environment_changes_no_estimate() -> None:
    """TIMM_FUSED_ATTN=0 is timm's switch: what is asked for holds."""
    from timm.layers import set_fused_attn

    run = replace(VIT, model=Timm("test_vit", image_size=256))
    before = estimate(run, Setup()).allocated
    try:
        set_fused_attn(False)
        assert estimate(run, Setup()).allocated == before
        assert estimate(run, Setup(attention="eager")).allocated > 1.1 * before
    finally:
        set_fused_attn(True)
