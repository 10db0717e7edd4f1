"""Prompts: their formulas written again, equality with peft, counts, masks and positions, and what does not fit."""

from __future__ import annotations

import copy

import pytest
import torch

from bench.errors import BadInput
from bench.methods import VPT, PrefixTuning, PromptTuning
from bench.models import HuggingFace, Timm, adapt, checkpoint, count
from bench.models.prefix import frozen_prefix
from bench.training.method_checks import BERT, CNN, VIT, VIT_MAPS, build, flat, perturb

GPT2 = HuggingFace("test-gpt2", weights="random")
LLAMA = HuggingFace("test-llama", weights="random")


@pytest.mark.parametrize("deep", [True, False])
def test_vpt_is_its_formula(deep):
    """Class token, prompts, patches, as the paper has them; what a block makes of deep prompts is dropped."""
    backbone = build(VPT(prompts=3, deep=deep), VIT)
    perturb(backbone.module)
    prompts = [block.vpt.P for block in backbone.module.blocks if hasattr(block, "vpt")]
    base, x = build(None, VIT).module, backbone.example(2)
    tokens = base.norm_pre(base._pos_embed(base.patch_embed(x)))
    first = base.num_prefix_tokens
    for i, block in enumerate(base.blocks):
        if deep or i == 0:
            head, rest = tokens[:, :first], tokens[:, first + (3 if i and deep else 0) :]
            tokens = torch.cat([head, prompts[i].expand(2, -1, -1), rest], dim=1)
        tokens = block(tokens)
    tokens = torch.cat([tokens[:, :first], tokens[:, first + 3 :]], dim=1)
    wanted = base.forward_head(base.norm(tokens))
    assert len(prompts) == (len(base.blocks) if deep else 1)
    assert torch.allclose(backbone.module(x), wanted, atol=1e-12)


def test_counts_of_vpt():
    for method, expected in ((VPT(prompts=10), 92_160), (VPT(prompts=10, deep=False), 7_680)):
        backbone = Timm("vit_base_patch16_224").build(device="meta")
        adapt(backbone, method)
        assert count(backbone) == expected


@pytest.mark.parametrize("pool", ["avg", "token"])
def test_no_prompt_is_pooled(pool):
    """As many tokens reach the pooling as without prompts; and maps have as many cells."""
    seen = []
    backbone = build(VPT(prompts=5, deep=False), Timm("test_vit", weights="random", image_size=32, pool=pool))
    backbone.module.norm.register_forward_pre_hook(lambda _, args: seen.append(args[0].shape[1]))
    x = backbone.example(1)
    backbone.module(x)
    assert seen == [backbone.module.patch_embed.num_patches + backbone.module.num_prefix_tokens]
    base, maps = build(None, VIT_MAPS), build(VPT(prompts=5), VIT_MAPS)
    wide = torch.randn(1, 3, 32, 64, dtype=torch.float64)
    assert [m.shape for m in maps.module(wide)] == [m.shape for m in base.module(wide)]


def as_peft(model, config):
    return config[0](build(None, model).module.body, config[1]).double().eval()


@pytest.mark.parametrize("model", [BERT, GPT2, LLAMA], ids=lambda m: m.name)
@pytest.mark.parametrize("method", [PromptTuning(prompts=3), PrefixTuning(prefixes=3)])
def test_text_prompts_equal_peft(method, model):
    """The hidden states of all real tokens, of texts of unequal lengths, and the prompts' gradients."""
    peft = pytest.importorskip("peft")
    backbone, body = build(method, model), build(None, model).module.body
    perturb(backbone.module)
    kind = peft.PromptTuningConfig if isinstance(method, PromptTuning) else peft.PrefixTuningConfig
    config = kind(task_type="FEATURE_EXTRACTION", num_virtual_tokens=3)
    theirs = peft.get_peft_model(body, config).double().eval()
    mine, yours = backbone.module.body.prompt.P, theirs.prompt_encoder["default"].embedding.weight
    given = dict(backbone.example(2))
    given["attention_mask"] = given["attention_mask"].clone()
    given["attention_mask"][1, -2:] = 0
    with torch.no_grad():  # peft's row: blocks × (keys, values), heads, width
        yours.copy_(mine if mine.ndim == 2 else mine.permute(3, 0, 1, 2, 4).flatten(1))
    real = given["attention_mask"].bool()
    a = backbone.module.body(**given).last_hidden_state[real]
    b = theirs(**given).last_hidden_state[:, -real.shape[1] :][real]
    assert (a - b).abs().max() < 1e-10
    a.square().sum().backward()
    b.square().sum().backward()
    grad = mine.grad if mine.ndim == 2 else mine.grad.permute(3, 0, 1, 2, 4).flatten(1)
    assert (grad - yours.grad).abs().max() < 1e-9 * max(1.0, yours.grad.abs().max().item())


@pytest.mark.parametrize("method", [PromptTuning(prompts=3), PrefixTuning(prefixes=3)])
@pytest.mark.parametrize("model", [BERT, GPT2], ids=lambda m: m.name)
def test_padding_does_not_matter(method, model):
    """A text gives the same alone and beside a longer one."""
    backbone = build(method, model)
    given = backbone.example(2)
    long = {key: torch.cat([each, each[:, :4]], dim=1) for key, each in given.items()}
    long["attention_mask"] = torch.cat([given["attention_mask"], torch.zeros_like(long["input_ids"][:, :4])], dim=1)
    assert torch.allclose(backbone.module(given), backbone.module(long), atol=1e-10)


@pytest.mark.parametrize(
    ("method", "model"), [(VPT(prompts=2), VIT), (PromptTuning(prompts=2), GPT2), (PrefixTuning(prefixes=2), GPT2)]
)
def test_recomputed_blocks_give_the_same_gradient(method, model):
    grads = []
    for recompute in (False, True):
        backbone = build(method, model)
        if recompute:
            checkpoint(backbone)
        backbone.module.train()
        flat(backbone.module(backbone.example(2))).square().sum().backward()
        grads.append(next(p.grad for p in backbone.module.parameters() if p.requires_grad))
    assert torch.allclose(*grads, atol=1e-12) and grads[0].any()


def test_a_copy_has_prompts_of_its_own():
    for method, model in ((VPT(prompts=2), VIT), (PromptTuning(prompts=2), BERT), (PrefixTuning(prefixes=2), BERT)):
        backbone = build(method, model)
        twin, x = copy.deepcopy(backbone.module), backbone.example(1)
        before = backbone.module(x)
        perturb(twin)
        assert torch.equal(backbone.module(x), before) and not torch.allclose(twin(x), before)
        assert frozen_prefix(backbone) is None


@pytest.mark.parametrize(
    ("method", "model", "told"),
    [
        (VPT(), CNN, "VPT is for plain vision transformers: a BasicBlock"),
        (VPT(), BERT, "for texts there are PromptTuning"),
        (VPT(), Timm("swin_tiny_patch4_window7_224"), "VPT is for plain"),
        (VPT(), Timm("vit_small_patch16_dinov3"), "VPT is for plain"),
        (PromptTuning(), VIT, "PromptTuning is for texts: .* for pictures there is VPT"),
        (PrefixTuning(), HuggingFace("test-distilbert", weights="random"), "takes no keys and values"),
        (PrefixTuning(), HuggingFace("tiny-t5", weights="random", max_length=32), "takes no keys and values"),
    ],
)
def test_what_does_not_fit_is_told_in_a_line(method, model, told):
    with pytest.raises(BadInput, match=told):
        adapt(model.build(device="meta"), method)


@pytest.mark.parametrize("cls", [PromptTuning, PrefixTuning])
def test_texts_too_long_for_the_positions_are_told(cls):
    backbone = build(cls(10), BERT)
    longest = backbone.inputs.length
    with pytest.raises(BadInput, match=f"10 prompts before {longest} tokens .* max_length={longest - 10}"):
        backbone.module(backbone.batch(1))
    backbone.module(backbone.example(1, longest - 10))
