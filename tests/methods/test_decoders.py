"""Methods on decoders: what test_method_checks.py checks on a BERT, in one pass a method on shared bases.

A Llama has no bias and gates its MLP; a GPT-2 has biases and keeps its weights transposed (transformers' Conv1D).
"""

from __future__ import annotations

import copy
from functools import cache

import pytest
import torch

from bench.errors import BadInput
from bench.methods import BitFit, LoRA, Together, merge
from bench.methods.branch import Branch
from bench.models import HuggingFace, adapt, count
from bench.training.method_checks import BERT, build, flat, perturb
from tests.training.test_method_checks import ROWS

LLAMA, GPT2 = (HuggingFace(name, weights="random", max_length=16) for name in ("test-llama", "test-gpt2"))
OF_TEXT = [method for method, models in ROWS if BERT in models]
BIASED = (BitFit(), Together(LoRA(rank=4), LoRA(rank=2, at=("up",), rank_stabilised=True), BitFit()))
CASES = [(method, GPT2 if method in BIASED else LLAMA) for method in OF_TEXT]
CASES += [
    (method, GPT2) for method in OF_TEXT if type(method).__name__ in ("LoRA", "DoRA", "IA3", "SSF", "PrefixTuning")
]


@cache
def base(model):
    """The network without a method, two texts, what it makes of them, and the network on shapes alone."""
    backbone = build(None, model)
    x = backbone.example(2)
    with torch.no_grad():
        return backbone, x, flat(backbone.module(x)), model.build(device="meta")


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(("method", "model"), CASES, ids=lambda v: getattr(v, "name", repr(v)))
def test_on_a_decoder(method, model):
    """Starts as the base or says why not; gradients reach all that trains; merges exactly; shapes give the count."""
    untouched, x, expected, meta = base(model)
    backbone, shapes = copy.deepcopy(untouched), copy.deepcopy(meta)
    adapt(backbone, method)
    module = backbone.module
    assert method.departs or torch.allclose(flat(module(x)), expected, atol=1e-11)
    adapt(shapes, method)
    assert count(shapes) == count(backbone)
    perturb(module)
    found = flat(module(x))
    trains = {name: p for name, p in module.named_parameters() if p.requires_grad}
    keys = tuple(f"{site.path}." for site in backbone.sites if site.role == "k" and site.rows is None)
    if trains:
        found.square().mean().backward()
    for name, p in trains.items():
        let_off = name.startswith(keys) and name.endswith("bias")  # which the softmax takes no notice of
        assert let_off or (p.grad is not None and p.grad.abs().max() > 0), name
    if method.merges(module):
        merged = merge(copy.deepcopy(module), method)
        assert torch.allclose(flat(merged(x)), found, atol=1e-10)
        if not any(isinstance(part, Branch) for part in merged.modules()):
            assert merged.state_dict().keys() == untouched.module.state_dict().keys()


def test_a_llama_has_no_bias_to_train():
    with pytest.raises(BadInput, match="no bias"):
        adapt(copy.deepcopy(base(LLAMA)[0]), BitFit())
