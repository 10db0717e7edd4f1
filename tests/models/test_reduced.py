"""A base in bf16, int8 or nf4: its bytes, its values as bitsandbytes has them, and every method on it or a reason."""

from __future__ import annotations

import copy
import importlib.util
from dataclasses import replace

import pytest
import torch
from torch import nn

from bench.costs.quantised import packed_bytes
from bench.errors import BadInput
from bench.methods import METHODS, BitFit, FullFineTuning, LoRA, merge
from bench.models import Broken, HuggingFace, Timm, adapt
from bench.models.reduced import BASES, Packed, Reduced, pack
from bench.records import Records
from bench.study.plan import plan
from bench.study.recording import identity
from bench.tasks import Images
from bench.training.loop import train
from bench.training.memory_forecast import forecast
from bench.training.method_checks import BERT, CHECKS, CNN, VIT, overfits
from bench.training.recipe import Training
from bench.training.run import Run
from bench.training.update import of_update
from tests.support.tiny_study import STUDY

REDUCED = BASES[1:]
EVERYWHERE = LoRA(rank=2, at=("q", "v", "o", "down"))
RUN = Run(Images("digits", train=20, val=10, test=10), VIT, EVERYWHERE, Training(epochs=1, precision="fp32"), 0)
pytestmark = pytest.mark.usefixtures("one_thread")


def bytes_of(module: nn.Module) -> int:
    return sum(tensor.nbytes for tensor in [*module.parameters(), *module.buffers()])


@pytest.mark.parametrize("kind", REDUCED)
@pytest.mark.parametrize("shape", [(48, 64), (7, 5), (3, 43), (1, 1)])
def test_a_packed_weight_takes_the_bytes_that_are_estimated_and_is_near_what_it_was(kind, shape):
    layer = nn.Linear(shape[1], shape[0])
    before = layer.weight.detach().clone()
    pack(layer, kind)
    packed = layer.state_dict()["weight"]
    assert packed.nbytes == packed_bytes(kind, shape)
    assert (layer.weight - before).norm() < {"bf16": 0.004, "int8": 0.01}.get(kind, 0.13) * before.norm()
    on_shapes = nn.Linear(shape[1], shape[0], device="meta")
    pack(on_shapes, kind)
    assert on_shapes.state_dict()["weight"].shape == packed.shape and on_shapes.weight.shape == shape


@pytest.mark.parametrize("kind", ["int8", "nf4", "nf4 double"])
def test_it_computes_what_the_layers_of_bitsandbytes_compute_in_training(kind):
    import bitsandbytes as bnb

    plain = nn.Linear(128, 24)
    plain.weight.data = plain.weight.data.half().float()  # as theirs makes it for int8
    if kind == "int8":
        theirs = bnb.nn.Linear8bitLt(128, 24, has_fp16_weights=False)
    else:
        theirs = bnb.nn.Linear4bit(
            128, 24, compute_dtype=torch.float32, quant_type="nf4", compress_statistics=kind != "nf4"
        )
    theirs.load_state_dict(plain.state_dict())
    theirs = theirs.to("cpu").train()
    pack(plain, kind)
    found = []
    for layer in (plain, theirs):
        x = torch.linspace(-1, 1, 6 * 128).view(6, 128).requires_grad_()
        y = layer(x)
        y.square().sum().backward()
        found.append((y.detach(), x.grad))
    for ours, other in zip(*found, strict=True):
        torch.testing.assert_close(ours, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", REDUCED)
def test_nothing_is_written_into_a_packed_weight(kind):
    layer = nn.Linear(6, 4)
    pack(layer, kind)
    before = layer.weight.clone()
    with torch.no_grad():
        for change in (
            lambda: layer.weight.add_(1),
            lambda: layer.weight.data.zero_(),
            lambda: layer.weight.t()[0].mul_(2),
            lambda: layer.weight.__iadd__(1),
            lambda: layer.weight.__setitem__(0, 1.0),
            lambda: nn.init.zeros_(layer.weight),
            lambda: torch.add(before, 1, out=layer.weight),
            lambda: setattr(layer, "weight", nn.Parameter(before)),
            lambda: layer.requires_grad_(True),
            lambda: setattr(layer._parameters["weight"], "requires_grad", True),
        ):
            with pytest.raises(BadInput, match="packed"):
                change()
    assert torch.equal(layer.weight, before) and torch.equal(layer.weight * 2, before * 2)
    assert layer.double().weight.dtype == torch.float64 and torch.equal(layer.weight, before.double())
    assert isinstance(copy.deepcopy(layer)._parameters["weight"], Packed)


@pytest.mark.parametrize(("model", "base"), [(VIT, "nf4"), (BERT, "bf16"), (BERT, "int8"), (BERT, "nf4 double")])
def test_lora_keeps_its_rules_on_a_reduced_base(model, base):
    """Fused and separate projections. Learning by heart takes longer: once is enough."""
    for name, check in CHECKS.items():
        if name not in ("overfits eight samples", "same seed, same losses"):
            check(EVERYWHERE, replace(model, base=base))


def test_it_learns_by_heart_on_four_bits():
    overfits(EVERYWHERE, replace(BERT, base="nf4"))


@pytest.mark.parametrize("method", METHODS)
def test_every_method_works_on_four_bits_or_says_why_not(method):
    try:
        adapt(replace(VIT, base="nf4").build(), METHODS[method]())
    except Broken:
        raise
    except BadInput as error:
        assert any(why in str(error) for why in ("packed weight", "no site matches", "is for texts"))


def test_what_trains_a_packed_weight_is_left_out_of_a_plan_with_the_reason():
    models, methods = (replace(VIT, base="int8"),), (FullFineTuning(), BitFit(), LoRA(rank=2))
    study = replace(STUDY, models=models, methods=methods)
    reasons = [row.refused for row in plan(study, Records("nowhere"), timed=False)]
    assert "a packed weight cannot train" in reasons[0] and reasons[1:] == ["", ""]


def test_a_run_says_its_base_and_takes_the_bytes_that_are_estimated():
    outcome = train(replace(RUN, model=replace(VIT, base="nf4")))
    assert outcome.status == "ok" and outcome.provenance["base"] == "nf4: 24 layers, 82 % of the weights"
    for base in BASES:
        run = replace(RUN, model=replace(VIT, base=base))
        module = run.model.build().module
        estimated = forecast(run).memory.peak.breakdown["weights"]
        assert estimated == bytes_of(module) + 4 * outcome.parameters["total"]


def test_merging_unpacks_the_layers_that_it_folds_into_and_spectra_are_of_the_update():
    run = replace(RUN, model=replace(VIT, base="nf4"), method=LoRA(rank=2, blocks=-1))
    backbone = run.model.build()
    adapt(backbone, run.method)
    packed = sum(isinstance(each, Reduced) for each in backbone.module.modules())
    with torch.no_grad():
        for name, p in backbone.module.named_parameters():
            if name.endswith("lora.B"):
                p.normal_(0, 0.1)
    spectra = of_update(run.model, run.method, backbone, seed=0, output="pooled")["roles"]
    assert spectra.keys() == {"q", "v"} and all(rank < 2.01 for rank in spectra["q"]["effective_rank"])
    merge(backbone.module, run.method)
    assert sum(isinstance(each, Reduced) for each in backbone.module.modules()) == packed - 1
    assert backbone.module.state_dict().keys() == run.model.build().module.state_dict().keys()


def test_the_default_changes_no_text_and_what_cannot_be_reduced_is_told(monkeypatch):
    assert repr(Timm("resnet18", base="fp32")) == "Timm('resnet18')"
    assert repr(replace(BERT, base="int8")).endswith("base='int8')")
    assert identity(RUN) == identity(replace(RUN, model=replace(VIT, base="fp32")))
    assert identity(RUN) != identity(replace(RUN, model=replace(VIT, base="nf4")))
    with pytest.raises(BadInput, match="did you mean 'nf4'"):
        HuggingFace("test-bert", base="nf5")
    with pytest.raises(BadInput, match="convolutions stay in full precision"):
        replace(CNN, base="nf4").build()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BadInput, match="pip install 'lora-bench\\[quantised\\]'"):
        replace(VIT, base="nf4").build(device="meta")


def test_embeddings_are_narrow_in_bf16_alone_and_vectors_never():
    for base, narrow in (("bf16", True), ("nf4", False)):
        body = replace(BERT, base=base).build().module.body
        assert isinstance(body.embeddings.word_embeddings, Reduced) == narrow
        kept = {p.dtype for p in body.parameters() if not isinstance(p, Packed)}
        assert kept == {torch.float32} and isinstance(body.encoder.layer[0].attention.self.query, Reduced)
