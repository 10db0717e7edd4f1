"""Language models whole: transformers' loss, and the same without all logits at once."""

from __future__ import annotations

import pytest
import torch

from bench.errors import BadInput
from bench.methods import FullFineTuning, LoRA
from bench.models import HuggingFace, adapt, count
from bench.models.language_loss import checked
from bench.tasks import LanguageModelling
from bench.training.gpu_step import Setup, estimate
from bench.training.recipe import Training
from bench.training.run import Run

KINDS = ["float32 shifted", "float32 shifted in place", "shifted", "chunked 7", "float32 chunked 16", "recomputed 7"]


def step(name: str, kind: str):
    """Loss and gradients of a batch with hidden labels, in float64."""
    backbone = HuggingFace(name, weights="random", max_length=32).build(output=f"loss: {kind}", kernels="cuda")
    network = backbone.module.double()
    inputs = backbone.example(3, 20)
    inputs["labels"][:, :4] = -100
    loss = network(inputs)
    loss.backward()
    return loss.detach(), {n: p.grad for n, p in network.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("name", ["test-llama", "tiny-gemma2"])  # untied and capped
def test_every_way_to_compute_the_loss_gives_the_same_step(name):
    loss, gradients = step(name, "float32")
    for kind in (*KINDS, "fused"):
        other, others = step(name, kind)
        assert other.item() == pytest.approx(loss.item(), rel=1e-5), kind
        assert gradients.keys() == others.keys()
        for each, gradient in gradients.items():
            scale = gradient.abs().max() + 1e-12
            assert (others[each] - gradient).abs().max() <= 1e-4 * scale, (kind, each)


def test_the_loss_is_that_of_transformers():
    backbone = HuggingFace("test-llama", weights="random", max_length=32).build(output="loss: float32")
    inputs = backbone.example(2, 12)
    assert torch.equal(backbone.module(inputs), backbone.module.body(**inputs).loss)


def allocated(kind: str, length: int = 256) -> int:
    model = HuggingFace("test-llama", weights="random", max_length=length)
    run = Run(LanguageModelling(kind), model, LoRA(rank=2), Training(batch_size=16), seed=0)
    return estimate(run, Setup(base="bf16", adapter="fp32")).allocated


def test_logits_that_are_not_all_there_take_less():
    plain, recomputed, fused = (allocated(kind) for kind in ("float32", "recomputed 256", "fused"))
    logits = 16 * 256 * 260
    assert allocated("float32 shifted") - plain == pytest.approx(4 * logits - 2 * logits, rel=0.35)
    assert plain - recomputed > 4 * logits and recomputed > 0.9 * fused


def test_of_encoders_and_of_two_stacks_the_loss_is_their_own():
    for name, parameters in (("tiny-t5", 6 * 2 * 2 * 2 * 32), ("tiny-bart", None), ("test-bert", 2 * 2 * 2 * 2 * 32)):
        model = HuggingFace(name, weights="random", max_length=32)
        on_shapes = model.build(device="meta", output="loss: float32")
        adapt(on_shapes, LoRA(rank=2))
        real = model.build(output="loss: float32")
        adapt(real, LoRA(rank=2))
        assert count(on_shapes) == count(real) and parameters in (None, count(real))
        assert real.module(real.example(2)).isfinite()
    with pytest.raises(BadInput, match=r"fused.* is of decoders"):
        HuggingFace("test-bert", weights="random").build(device="meta", output="loss: fused")


def test_full_fine_tuning_trains_the_words_once():
    backbone = HuggingFace("gpt2").build(device="meta", output="loss: float32")
    adapt(backbone, FullFineTuning())
    assert count(backbone) == 124_439_808


@pytest.mark.parametrize("kind", ["fusd", "chunked 0", "", "recomputed -3"])
def test_unknown_losses_are_refused(kind):
    with pytest.raises(BadInput, match="loss"):
        LanguageModelling(kind)
    assert checked("chunked") == "chunked 1024"


def test_it_has_no_data():
    with pytest.raises(BadInput, match="no data"):
        LanguageModelling().sizes()
