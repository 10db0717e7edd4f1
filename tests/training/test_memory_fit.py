"""What fits: found by few estimates, with a margin, in what people can change."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.costs.published import MARGIN
from bench.errors import BadInput
from bench.methods import FullFineTuning, LinearProbe, LoRA
from bench.models import HuggingFace, Timm
from bench.tasks import Detection, Images, LanguageModelling, usual
from bench.training.gpu_setup import CONTEXT, Setup
from bench.training.gpu_step import estimate
from bench.training.memory_fit import BASES, STEP, Traced, cells, fitting, largest, nothing_fits, usable
from bench.training.recipe import Training
from bench.training.run import Run

LLAMA = HuggingFace("test-llama", weights="random", max_length=128)
SETUP = Setup(base="bf16", adapter="fp32")


@pytest.mark.parametrize("limit", [5, 10, 99, 100, 101, 1234, 10**9])
@pytest.mark.parametrize("second", [2, 7, 400])
def test_the_largest_is_found_of_what_grows_ever_faster(limit, second):
    def memory(n: int) -> int:
        asked.append(n)
        return max(10 + n, 3 * n, 5 * n - 60)

    asked: list[int] = []
    right = max((n for n in range(1, 501) if max(10 + n, 3 * n, 5 * n - 60) <= limit), default=0)
    assert largest(memory, limit, most=500, second=second) == right
    assert len(asked) <= 9


@pytest.mark.long
def test_a_step_that_is_traced_over_and_over_takes_what_it_takes_alone():
    run = Run(LanguageModelling(), LLAMA, LoRA(rank=2), Training(), seed=0)
    step = Traced(replace(run, model=replace(LLAMA, max_length=None)), SETUP)
    for batch in (3, 1):
        alone = estimate(replace(run, training=replace(run.training, batch_size=batch)), SETUP)
        assert step.allocated(batch, 128) == alone.allocated


@pytest.mark.long
def test_the_table_fits_and_leaves_the_margin():
    """On a GPU on which four texts of 128 tokens fit with LoRA, and a few bytes."""
    run = Run(LanguageModelling(), LLAMA, LoRA(rank=8), Training(batch_size=4), seed=0)
    limit = int(estimate(run, SETUP).allocated / (1 - MARGIN)) + CONTEXT + 4096
    how = {"setup": SETUP, "bases": ("bf16",), "methods": (LoRA(rank=8),)}
    plain, again = fitting(LLAMA, LanguageModelling(), limit, **how)
    assert max(plain.bytes, again.bytes) <= usable(limit, CONTEXT)
    assert plain.batch == 4 and 128 < plain.length <= 256 and plain.length % STEP == 0
    assert again.batch > 4 and again.checkpointing


def test_pictures_have_no_length():
    vit = Timm("test_vit", weights="random")
    (row,) = fitting(
        vit,
        Images("digits"),
        2**20,
        methods=(LoRA(rank=2),),
        setup=SETUP,
        bases=("bf16",),
        checkpointing=(False,),
    )
    assert row.length is None and row.batch == 0 < row.bytes


def test_what_is_asked_for_and_does_not_fit_is_told():
    for method, told in ((LoRA(at=("conv",)), "no site matches"), (FullFineTuning(), "would pack")):
        with pytest.raises(BadInput, match=told):
            list(fitting(LLAMA, LanguageModelling(), 2**30, methods=(method,), setup=SETUP, bases=("nf4",)))
    with pytest.raises(BadInput, match="takes at most 256 tokens"):
        list(fitting(replace(LLAMA, max_length=257), LanguageModelling(), 2**30, setup=SETUP))


@pytest.mark.long
def test_too_little_says_what_would_be_needed():
    rows = list(fitting(LLAMA, LanguageModelling(), 2**20, setup=SETUP, bases=("bf16",), checkpointing=(False,)))
    assert {row.batch for row in rows} == {0} and repr(LinearProbe()) in [row.method for row in rows]
    assert not any("conv" in row.method or "qkv" in row.method for row in rows)  # this network has none
    told = str(nothing_fits(rows, 2**20, "test-llama", CONTEXT))
    assert "1 MiB is too little for test-llama" in told and "one sample, which needs" in told
    assert min(row.bytes for row in rows) > usable(2**20, 0)


def test_what_cannot_be_traced_is_refused_with_why():
    mixture = HuggingFace("tiny-mixtral", weights="random", max_length=16)
    detector = Timm("test_vit", weights="random", image_size=64)
    for model, task, why in (
        (mixture, LanguageModelling(), "depends on values"),
        (detector, Detection("composited-digits"), "a detector matches boxes"),
    ):
        with pytest.raises(BadInput, match=why):
            estimate(Run(task, model, FullFineTuning(), Training(batch_size=1), seed=0), Setup())


def test_a_probe_is_computed_once_and_a_packed_base_does_not_train():
    assert len(cells((LinearProbe(),))) == len(BASES) and len(cells((FullFineTuning(),))) == 2


def test_models_that_write_are_trained_to_write():
    assert usual(LLAMA) == LanguageModelling() and usual(HuggingFace("test-bert")) != LanguageModelling()
    assert usual(HuggingFace("tiny-t5")) == LanguageModelling()
