"""What every method must hold. A new method is one row here."""

from __future__ import annotations

import pytest

from bench import methods as m
from bench.sites import ALL, CONV
from bench.study.tune import TUNABLE, Tune
from bench.tasks import Detection, Images, Text
from bench.training.method_checks import BERT, CHECKS, CNN, CNN_MAPS, MODELS, VIT, VIT_MAPS
from bench.training.recipe import Training

TRANSFORMERS = (VIT, BERT, VIT_MAPS)
POOLED = (VIT, CNN, BERT)
"""On maps the same methods hang on the same modules: one of each way to hang is tried there too."""
ROWS = [
    (m.FullFineTuning(), MODELS),
    (m.LinearProbe(), MODELS),
    (m.BitFit(), POOLED),
    (m.LayerNormTuning(), TRANSFORMERS),
    (m.LoRA(rank=4, at=("q", "v")), TRANSFORMERS),
    (m.LoRA(rank=2, at=ALL, rank_stabilised=True, blocks=-1), (VIT, BERT)),
    (m.LoRA(rank=4, at=("qkv", "o"), alpha=4), (VIT,)),
    (m.LoRA(rank=4, at=CONV), (CNN, CNN_MAPS)),
    (m.LoRAPlus(rank=4), (VIT, BERT)),
    (m.LoRAPlus(rank=2, at=CONV), (CNN,)),
    (m.LoRAFA(rank=4), (VIT, BERT)),
    (m.LoRAFA(rank=4, at=CONV), (CNN,)),
    (m.PiSSA(rank=4), (VIT, BERT)),
    (m.PiSSA(rank=4, at=CONV), (CNN,)),
    (m.AdaLoRA(rank=3, start_rank=5, every=1), (VIT, BERT)),
    (m.AdaLoRA(rank=3, start_rank=5, at=CONV), (CNN,)),
    (m.DoRA(rank=4), (VIT, BERT)),
    (m.DoRA(rank=4, at=CONV), (CNN,)),
    (m.OFT(block_size=8), (VIT, BERT)),
    (m.OFT(block_size=8, at=CONV), (CNN,)),
    (m.VeRA(rank=16), (VIT, BERT)),
    (m.LoHa(rank=4), (VIT, BERT)),
    (m.LoHa(rank=4, at=CONV), (CNN,)),
    (m.LoKr(rank=4), (VIT, BERT)),
    (m.LoKr(rank=4, at=CONV), (CNN,)),
    (m.IA3(), (VIT, BERT)),
    (m.IA3(at=CONV), (CNN,)),
    (m.SSF(), MODELS),
    (m.LastBlocks(last=1), MODELS),
    (m.FacT(rank=4), (VIT, BERT)),
    (m.ConvAdapter(), (CNN, CNN_MAPS)),
    (m.Convpass(width=4), (VIT, VIT_MAPS)),
    (m.VPT(prompts=3), (VIT, VIT_MAPS)),
    (m.VPT(prompts=3, deep=False), (VIT,)),
    (m.PromptTuning(prompts=3), (BERT,)),
    (m.PrefixTuning(prefixes=3), (BERT,)),
    (m.Houlsby(width=8), MODELS),
    (m.Pfeiffer(width=8), POOLED),
    (m.AdaptFormer(width=8), MODELS),
    (m.FeatureLoRA(rank=4, depth=2), POOLED),
    (m.FeatureLoRA(rank=4, depth=1, tune_last=1), MODELS),
    (m.Together(m.LoRA(rank=4), m.LoRA(rank=2, at=("up",), rank_stabilised=True), m.BitFit()), (VIT, BERT)),
    (m.Peft("OFT", oft_block_size=16), (VIT, BERT)),
    (m.Together(m.LoRA(rank=4, at=CONV), m.Houlsby(width=8)), (CNN,)),
]
CASES = [
    pytest.param(method, model, check, id=f"{method!r}-{model.name}-{name}")
    for method, models in ROWS
    for model in models
    for name, check in CHECKS.items()
]


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(("method", "model", "check"), CASES)
def test_holds(method, model, check):
    check(method, model)


def test_every_method_has_a_row():
    assert {type(method) for method, _ in ROWS} == set(m.METHODS.values())


@pytest.mark.parametrize("method", [cls() for cls in m.METHODS.values()], ids=repr)
def test_declares_what_tuning_searches(method):
    """Its own fields or those of training, never both by one name; the untuned values lie inside."""
    own = set(method.config)
    assert {"lr", "weight_decay"} <= method.space.keys() <= own | set(TUNABLE)
    assert not own & set(TUNABLE)
    for task in (Images("digits"), Text("unicode-names"), Detection("composited-digits")):
        Tune().check(task, method, Training())
        assert Tune().default(task, method, Training()).keys() == method.space.keys()
