"""Tuners of peft on the suite's sites: the same as peft computes, fused layers in parts, merging, refusals."""

from __future__ import annotations

import copy
import re
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from peft import BOFTConfig, get_peft_model

from bench.errors import BadInput
from bench.methods import METHODS, LoRA, Peft, merge
from bench.methods.peft_bridge import tuners
from bench.models import adapt, count
from bench.sites import CONV
from bench.spec import parse
from bench.training.check_networks import build, perturb
from bench.training.method_checks import BERT, CHECKS, CNN, VIT
from bench.training.peft_table import cells

pytestmark = pytest.mark.usefixtures("one_thread")


def test_its_text_makes_it_again_whatever_the_case():
    text = "Peft('VERA', at=('q', 'v'), d_initial=0.2, r=16)"
    assert repr(Peft("Vera", r=16, d_initial=0.2, at=["v", "q"])) == text
    assert parse(text, known=METHODS, kind="method") == Peft("vera", r=16, d_initial=0.2)
    assert Peft("VERA", r=4).having({"r": 8}) == Peft("VERA", r=8) and Peft("VERA", r=8).config["r"] == 8


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Peft('BOFTT')", "did you mean 'BOFT'"),
        ("Peft('BOFT', boft_block_sise=4)", "did you mean 'boft_block_size'"),
        ("Peft('BOFT', boft_block_size=4, boft_block_num=2)", "peft's BOFT refuses"),
        ("Peft('LORA', target_modules='query')", "at=… and blocks=… say where"),
        ("Peft('LORA', bias='all')", "BitFit"),
        ("Peft('PROMPT_TUNING')", "before the tokens"),
        ("Peft('LN_TUNING')", "LayerNormTuning"),
        ("Peft('LORA', at=('zz',))", "unknown role"),
    ],
)
def test_what_it_does_not_take_is_told_in_a_line(text, says):
    with pytest.raises(BadInput, match=says) as told:
        parse(text, known=METHODS, kind="method")
    assert "\n" not in str(told.value)


def test_it_computes_what_peft_computes_on_the_same_network():
    ours, theirs = build(Peft("BOFT", boft_block_size=4), BERT), build(None, BERT)
    wrapped = get_peft_model(theirs.module.body, BOFTConfig(boft_block_size=4, target_modules=["query", "value"]))
    perturb(ours.module)
    trained = [p for p in wrapped.parameters() if p.requires_grad]
    own = [p for p in ours.module.parameters() if p.requires_grad]
    assert [p.shape for p in trained] == [p.shape for p in own]
    with torch.no_grad():
        for p, q in zip(trained, own, strict=True):
            p.copy_(q)
    theirs.module.body = wrapped.base_model.model
    x = ours.example(2)
    torch.testing.assert_close(ours.module(x), theirs.module(x), rtol=0, atol=1e-12)


def test_rows_of_a_fused_layer_are_layers_of_their_own():
    """With the factors of the suite's LoRA on q and v it computes the same."""
    lora, bridge = build(LoRA(rank=2, alpha=4.0), VIT), build(Peft("LORA", r=2, lora_alpha=4), VIT)
    perturb(lora.module)
    assert count(lora) == count(bridge)
    with torch.no_grad():
        for path, host in bridge.module.named_modules():
            if "peft" in host._modules:
                branch = lora.module.get_submodule(path).lora
                for i, name in enumerate("qv"):
                    layer, rows = host.peft[name], slice(64 * i, 64 * (i + 1))
                    layer.lora_A["default"].weight.copy_(branch.A[2 * i : 2 * i + 2])
                    layer.lora_B["default"].weight.copy_(branch.B[rows])
    x = lora.example(2)
    torch.testing.assert_close(lora.module(x), bridge.module(x), rtol=0, atol=1e-12)
    merged = merge(copy.deepcopy(bridge.module), Peft("LORA", r=2, lora_alpha=4))
    torch.testing.assert_close(merged(x), bridge.module(x), rtol=0, atol=1e-10)


def test_what_changes_the_base_is_refused_and_what_is_shared_stays_shared():
    with pytest.raises(BadInput, match="PiSSA"):
        build(Peft("LORA", r=2, init_lora_weights="pissa"), BERT)
    backbone = build(Peft("VBLORA", vector_length=16, num_vectors=8), BERT)
    names = [name for name, p in backbone.module.named_parameters() if p.shape == (8, 16)]
    assert len(names) == 1 and len({id(m) for m in copy.deepcopy(backbone.module).parameters()}) > 1


def test_it_stands_on_a_packed_base_which_merging_unpacks():
    model = replace(VIT, base="nf4")
    for name in ("identity at the start", "the base's keys survive", "merged equals unmerged"):
        CHECKS[name](Peft("LORA", r=2), model)
    backbone = model.build()
    adapt(backbone, Peft("VERA", r=4))
    assert all(p.dtype == torch.float32 for p in backbone.module.parameters() if p.requires_grad)


def test_adalora_allocates_and_has_its_penalty():
    method = Peft("ADALORA", init_r=4, target_r=1)
    CHECKS["its training keeps to the rules"](method, BERT)
    assert method.penalty(build(method, BERT).module).item() > 0
    assert Peft("LORA").penalty(build(Peft("LORA", r=2), BERT).module) is None


def test_convolutions_are_adapted_and_merged():
    CHECKS["merged equals unmerged"](Peft("LORA", r=2, at=CONV), CNN)


def test_the_table_has_every_tuner_and_what_it_says_is_so():
    page = (Path(__file__).parents[2] / "bench/methods/PEFT.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip(" `") for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("| `")
    ]
    notes = dict(re.findall(r"^(\d+)\. ((?:.|\n   )+)$", page, re.M))
    stated = {row[0]: (row[2], [" ".join(notes[n].split()) for n in row[4].split(", ") if n]) for row in rows}
    assert f"(peft {version('peft')})" not in page or list(stated) == tuners()
    for tuner in ("IA3", "PROMPT_TUNING"):
        signs, said = cells(tuner, networks=[("BERT", BERT, ("q", "v"))])
        assert stated[tuner] == (signs[0], said)
