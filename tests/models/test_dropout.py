"""No dropout of any kind by default; for every method where a model is asked for some."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import nn
from transformers import AutoConfig

from bench.errors import BadInput
from bench.methods import FeatureLoRA, FullFineTuning, Houlsby, LinearProbe, LoRA
from bench.models import HuggingFace, Timm, adapt
from bench.models.dropout import _draws, silence, silence_configuration
from bench.models.prefix import frozen_prefix
from bench.models.text_shapes import SHAPES
from bench.training.recipe import set_mode
from tests.support.saved_texts import save, tiny

METHODS = [FullFineTuning(), LinearProbe(), Houlsby(width=2), FeatureLoRA(rank=2), LoRA(rank=2)]
TEXTS = [name for name in SHAPES if name.startswith(("test-", "tiny-"))]


def varies(model, method, seed=0):
    """Whether two passes in training mode differ."""
    backbone = model.build(seed=seed)
    with torch.no_grad():
        for module in backbone.module.modules():  # residual branches that timm starts at zero would drop nothing
            if isinstance(module, nn.LayerNorm | nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
    adapt(backbone, method)
    set_mode(backbone.module)
    x = backbone.example(4)
    with torch.no_grad():
        return not torch.allclose(backbone.module(x), backbone.module(x), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", TEXTS)
def test_full_fine_tuning_of_texts_has_none_by_default(name):
    assert not varies(tiny(name), FullFineTuning())


@pytest.mark.parametrize("name", ["test_vit", "ghostnet_050", "rexnet_100", "swin_tiny_patch4_window7_224"])
def test_full_fine_tuning_of_pictures_has_none_by_default(name):
    body = Timm(name, weights="random").build(device="meta").module
    own = timm.create_model(name, num_classes=0, device="meta")
    assert [*rates(body)] == [0.0] * len([*rates(body)])
    assert name == "test_vit" or any(rates(own)), "an example that has some of its own"


def rates(network):
    """Of all that drops, by its modules' and its own attributes."""
    for module in network.modules():
        yield from (float(v) for k, v in vars(module).items() if k in ("p", "drop_prob", "drop_rate") and v is not None)


@pytest.mark.parametrize("method", METHODS, ids=repr)
@pytest.mark.parametrize(
    "model",
    [
        tiny("test-bert", dropout=0.5),
        tiny("test-llama", dropout=0.5),
        Timm("test_vit", weights="random", drop_path=0.5),
    ],
    ids=["hidden", "attention", "path"],
)
def test_whoever_asks_gets_it_for_every_method(model, method):
    assert varies(model, method)
    backbone = model.build()
    adapt(backbone, method)
    assert frozen_prefix(backbone) is None, "what varies is not to be cached"


def test_frozen_statistics_do_not_move_with_drop_path():
    backbone = Timm("test_resnet", weights="random", image_size=32, drop_path=0.3).build()
    adapt(backbone, LinearProbe())
    set_mode(backbone.module)
    before = {name: b.clone() for name, b in backbone.module.named_buffers()}
    backbone.module(backbone.example(4))
    assert all(torch.equal(b, before[name]) for name, b in backbone.module.named_buffers())
    assert any(m.training for m in backbone.module.modules() if type(m).__name__ == "DropPath")


def test_a_specification_keeps_its_text():
    """Ids of records hash it: what was said to be none is said on."""
    assert repr(HuggingFace("minilm-l6", max_length=64, dropout=0.0)).endswith("max_length=64, dropout=0.0)")
    assert HuggingFace("minilm-l6", max_length=64) == HuggingFace("minilm-l6", max_length=64, dropout=0.0)


class Home(nn.Module):
    """What drops in every way that a library may write."""

    def __init__(self):
        super().__init__()
        self.inner, self.path = nn.AlphaDropout(0.3), timm.layers.DropPath(0.3)
        self.attention_dropout, self.layerdrop, self.drop_path_rate, self.scale = 0.1, 0.2, 0.3, 0.4
        self.gru, self.attention = nn.GRU(2, 2, 2, dropout=0.1), nn.MultiheadAttention(2, 1, dropout=0.1)
        self.block = timm.layers.DropBlock2d(0.2)


def test_every_kind_of_rate_is_found():
    home = Home()
    silence(home)
    assert (home.attention_dropout, home.layerdrop, home.drop_path_rate, home.scale) == (0, 0, 0, 0.4)
    assert home.inner.p == home.path.drop_prob == home.gru.dropout == home.attention.dropout == 0
    assert home.block.drop_prob == 0
    kept = Home()
    silence(kept, paths=False)
    assert (kept.path.drop_prob, kept.drop_path_rate, kept.attention_dropout, kept.inner.p) == (0.3, 0.3, 0, 0)


@pytest.mark.parametrize("kind", ["bert", "gpt2", "t5", "bart", "distilbert", "wav2vec2", "clip", "xlnet"])
def test_configurations_of_every_naming(kind):
    from transformers import AutoConfig

    config = AutoConfig.for_model(kind)
    silence_configuration(config)
    for part in (config, *(v for v in vars(config).values() if hasattr(v, "to_dict"))):
        said = {k: v for k, v in part.to_dict().items() if "drop" in k and isinstance(v, int | float)}
        assert (said and not any(v for v in said.values() if not isinstance(v, bool))) or part is config, said


@pytest.mark.parametrize("rate", [None, 0.3])
def test_a_configuration_that_keeps_to_whole_numbers_takes_a_rate(rate):
    config = AutoConfig.for_model("mpt", d_model=8, n_heads=2, n_layers=1, resid_pdrop=0)
    silence_configuration(config, dropout=rate or 0.0)
    assert config.resid_pdrop == (rate or 0.0)


def test_records_with_the_configurations_dropout_are_not_taken_for_ones_without():
    assert repr(HuggingFace("test-bert")) == "HuggingFace('test-bert', dropout=0.0)"


@pytest.mark.parametrize("config", ["MambaConfig", "RwkvConfig"])
def test_what_is_asked_for_and_reaches_nothing_is_refused(config, tmp_path):
    import transformers

    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "vocab_size": 260, "state_size": 4, "intermediate_size": 32}
    folder = save(tmp_path, getattr(transformers, config)(**sizes))
    HuggingFace(folder, max_length=16).build(device="meta")
    for device in ("meta", "cpu"):
        with pytest.raises(BadInput, match=r"dropout=0\.1 would change nothing: .*leave it out"):
            HuggingFace(folder, max_length=16, dropout=0.1).build(device=device)


def test_attention_that_drops_within_its_kernel_counts():
    class Attends(nn.Module):
        def forward(self, x):
            return nn.functional.scaled_dot_product_attention(x, x, x, dropout_p=self.rate, scale=0.5)

    network = Attends()
    for network.rate, reached in ((0.0, False), (0.1, True)):
        assert _draws(network, lambda n: torch.ones(n, 1, 4, 8)) is reached
