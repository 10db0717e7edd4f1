"""Feature maps of pictures of any size: shapes, equality with the plain network, sites, and torchvision's detectors."""

from __future__ import annotations

import hashlib
import urllib.request
from dataclasses import replace

import pytest
import timm
import torch
import torch.nn.functional as F
from timm.layers import resample_abs_pos_embed
from torchvision.models.detection import FCOS, FCOS_ResNet50_FPN_Weights
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from bench.errors import BadInput
from bench.methods import (
    METHODS,
    AdaptFormer,
    BitFit,
    FeatureLoRA,
    FullFineTuning,
    Houlsby,
    LinearProbe,
    LoRA,
    Pfeiffer,
)
from bench.models import Timm, Torchvision, adapt, count, known, resolve
from bench.models.prefix import frozen_prefix
from bench.models.torchvision_models import DETECTORS
from bench.sites import ALL, CONV, depth, select
from bench.training.method_checks import CNN, CNN_MAPS, VIT, VIT_MAPS, build, flat, perturb
from tests.support.hub_cache import spoil

pytestmark = pytest.mark.usefixtures("one_thread")

NETWORKS = [
    ("vit_tiny_patch16_224", (192,), (16,)),
    ("vit_small_patch14_dinov2", (384,), (14,)),
    ("swin_tiny_patch4_window7_224", (192, 384, 768), (8, 16, 32)),
    ("convnext_atto", (80, 160, 320), (8, 16, 32)),
    ("resnet18", (128, 256, 512), (8, 16, 32)),
    ("mobilenetv2_100", (32, 96, 320), (8, 16, 32)),
    ("tf_efficientnet_lite0", (40, 112, 320), (8, 16, 32)),
    ("vgg11", (512, 512, 512), (8, 16, 32)),
]


@pytest.mark.parametrize(("name", "channels", "strides"), NETWORKS)
def test_maps_of_pictures_of_any_size(name, channels, strides):
    backbone = Timm(name).build(device="meta", output="maps")
    assert (backbone.width.channels, backbone.width.strides) == (channels, strides)
    assert backbone.width.head is None and backbone.output == "maps" and frozen_prefix(backbone) is None
    for height, width in ((64, 64), (75, 130), (9, 40)):
        maps = backbone.module(torch.zeros(2, 3, height, width, device="meta"))
        cells = [(-(-height // stride), -(-width // stride)) for stride in strides]
        assert [m.shape for m in maps] == [(2, c, *grid) for c, grid in zip(channels, cells, strict=True)]
    for site in backbone.sites:
        assert backbone.module.get_submodule(site.path) is not None
    assert [site.path for site in backbone.sites if site.role == "features"] == [
        f"features.{i}" for i in range(len(channels))
    ]


@pytest.mark.parametrize("name", ["coat_tiny", "pit_ti_224", "test_maxvit", "inception_v3", "crossvit_tiny_240"])
def test_networks_without_maps_of_any_size_are_refused(name):
    with pytest.raises(BadInput, match=f"{name} gives no feature maps of pictures of any size: .* take a CNN"):
        Timm(name).build(device="meta", output="maps")


def test_other_outputs_are_refused():
    with pytest.raises(BadInput, match="did you mean 'maps'"):
        VIT.build(output="map")
    with pytest.raises(BadInput, match="feature maps are not pooled"):
        Timm("test_vit", weights="random", pool="avg").build(output="maps")
    with pytest.raises(BadInput, match="it gives feature maps"):
        Torchvision("fcos_resnet50_fpn", weights="random").build(output="pooled")


@pytest.mark.parametrize("name", ["test_vit", "test_vit2", "test_vit3"])
def test_a_vit_at_its_own_size_gives_its_tokens(name):
    """Position embedding untouched, and the final norm applied, also where the plain network pools before it."""
    model = Timm(name, weights="random", image_size=64)
    plain, maps = model.build(seed=1), model.build(seed=1, output="maps")
    x = maps.example(2)
    tokens = plain.module.eval().fc_norm(plain.module.forward_features(x))[:, plain.module.num_prefix_tokens :]
    assert torch.equal(maps.module.eval()(x)[0].flatten(2).transpose(1, 2), tokens)


def test_a_cnn_gives_the_outputs_of_its_stages():
    plain, maps = CNN.build(seed=1).module.eval(), CNN_MAPS.build(seed=1).module.eval()
    seen = []
    for stage in (plain.layer2, plain.layer3, plain.layer4):
        stage.register_forward_hook(lambda host, args, y: seen.append(y))
    x = torch.randn(2, 3, 64, 96)
    plain(x)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(maps(x), seen, strict=True))


@pytest.mark.parametrize(("model", "right", "below"), [(VIT_MAPS, 10, 14), (CNN_MAPS, 26, 14)])
def test_a_picture_is_padded_with_zeros_to_the_coarsest_stride(model, right, below):
    network = build(None, model).module
    x = torch.randn(1, 3, 50, 70, dtype=torch.float64)
    whole = network(F.pad(x, (0, right, 0, below)))
    assert all(torch.equal(m, w[..., : m.shape[2], : m.shape[3]]) for m, w in zip(network(x), whole, strict=True))


def test_the_position_embedding_is_resampled_for_other_sizes():
    """As timm does it once for weights that are loaded into a network for another size."""
    maps = VIT_MAPS.build().module.eval()
    state = dict(maps.body.state_dict())
    state["pos_embed"] = resample_abs_pos_embed(state["pos_embed"], [4, 6], old_size=[2, 2], num_prefix_tokens=1)
    larger = timm.create_model("test_vit", img_size=(64, 96), num_classes=0).eval()
    larger.load_state_dict(state)
    x = torch.randn(1, 3, 64, 96)
    expected = larger.forward_features(x)[:, 1:]  # with fused attention: the same up to rounding
    assert torch.allclose(maps(x)[0].flatten(2).transpose(1, 2), expected, atol=1e-5)


@pytest.mark.parametrize(("size", "grid"), [(32, 2), (40, 3), (47, 3), (48, 3)])
def test_the_position_embedding_is_that_of_the_padded_picture(size, grid):
    body = replace(VIT, image_size=size).build(output="maps").module.body
    assert body.pos_embed.shape[1] == 1 + grid**2


@pytest.mark.parametrize(("model", "behind"), [("test_vit", ""), ("tf_efficientnet_lite0", ("conv_head.", "bn2."))])
def test_names_of_parameters_are_the_plain_networks_behind_one_prefix(model, behind):
    plain, maps = (Timm(model).build(device="meta", output=output).module for output in ("pooled", "maps"))
    kept = {name for name in plain.state_dict() if not (behind and name.startswith(behind))}
    assert maps.state_dict().keys() == {f"body.{name}" for name in kept}
    exempt = {f"body.{name}" for name in getattr(plain, "no_weight_decay", set)()}
    assert maps.no_weight_decay() == exempt


ELSEWHERE = ("ConvAdapter", "PromptTuning", "PrefixTuning")  # of convolutions, of texts
SAME_COUNT = [
    (VIT, (LoRA(at=ALL), *(cls() for cls in METHODS.values() if cls.__name__ not in ELSEWHERE))),
    (CNN, (FullFineTuning(), BitFit(), LoRA(at=CONV), LoRA(at=CONV, blocks=-2), Houlsby(), Pfeiffer(), AdaptFormer())),
]


@pytest.mark.parametrize(("model", "methods"), SAME_COUNT)
def test_counts_are_those_of_the_pooled_network(model, methods):
    for method in methods:
        pooled, maps = (model.build(device="meta", output=output) for output in ("pooled", "maps"))
        adapt(pooled, method)
        adapt(maps, method)
        assert count(maps) == count(pooled), method


def test_lora_on_the_maps_of_vit_b():
    backbone = Timm("vit_base_patch16_224").build(device="meta", output="maps")
    adapt(backbone, LoRA(rank=8))
    assert count(backbone) == 294_912


def test_what_lies_behind_the_last_map_is_not_counted():
    pooled, maps = (Timm("mobilenetv2_100").build(device="meta", output=output) for output in ("pooled", "maps"))
    adapt(pooled, FullFineTuning())
    adapt(maps, FullFineTuning())
    assert count(pooled) - count(maps) == 320 * 1280 + 2 * 1280


def test_feature_lora_has_a_map_of_its_own_for_every_feature_map():
    backbone = CNN_MAPS.build(device="meta")
    adapt(backbone, FeatureLoRA(rank=3, depth=2))
    assert count(backbone) == 2 * 2 * 3 * sum(backbone.width.channels)
    with pytest.raises(BadInput, match="48 wide"):
        build(FeatureLoRA(rank=64), CNN_MAPS)


def test_feature_lora_acts_on_each_cell_alone():
    """z + B·A·z at every place, checked against a 1×1 convolution."""
    base, adapted = build(None, CNN_MAPS), build(FeatureLoRA(rank=4, depth=1), CNN_MAPS)
    perturb(adapted.module)
    x = torch.randn(2, 3, 64, 96, dtype=torch.float64)
    for plain, changed, features in zip(base.module(x), adapted.module(x), adapted.module.features, strict=True):
        lora = features.lora1
        assert torch.allclose(changed, plain + F.conv2d(plain, (lora.B @ lora.A)[..., None, None]), atol=1e-12)


def test_gradients_flow_at_another_size_than_the_networks_own():
    backbone = build(FullFineTuning(), VIT_MAPS)
    flat(backbone.module(torch.randn(1, 3, 40, 70, dtype=torch.float64))).square().sum().backward()
    assert backbone.module.body.pos_embed.grad.abs().max() > 0


@pytest.mark.parametrize("name", DETECTORS)
def test_a_detector_of_torchvision_in_three_parts(name):
    backbone = Torchvision(name).build(device="meta")
    finest = DETECTORS[name]
    assert backbone.inputs.size == 800 and backbone.inputs.mean == (0.485, 0.456, 0.406)
    assert backbone.width.strides[0] == finest and backbone.width.channels == tuple(
        64 * stride for stride in backbone.width.strides
    )
    assert depth(backbone.sites) == 16 and len(select(backbone.sites, at=CONV)) == 48
    maps = backbone.module(torch.zeros(2, 3, 100, 130, device="meta"))
    assert [m.shape[1:] for m in maps] == [(64 * s, -(-100 // s), -(-130 // s)) for s in backbone.width.strides]
    head = backbone.width.head(3)
    pyramid = head.pyramid(maps)
    assert [m.shape[1:] for m in pyramid] == [(256, -(-100 // s), -(-130 // s)) for s in head.strides]
    if head.background:
        assert head.detector.roi_heads.box_predictor.cls_score.out_features == 4
    else:
        answers = head.detector.head(list(pyramid))
        anchors = head.detector.anchor_generator.num_anchors_per_location()[0]
        cells = sum(m.shape[2] * m.shape[3] for m in pyramid)
        assert answers["cls_logits"].shape == (2, cells * anchors, 3)
    adapt(backbone, FullFineTuning())
    assert count(backbone) == 23_508_032  # ResNet-50 without its classifier


@pytest.mark.parametrize("method", [LoRA(rank=8, at=CONV), Pfeiffer(), BitFit(), FeatureLoRA(), LinearProbe()])
def test_counts_on_a_detector_of_torchvision_are_those_on_timms_resnet(method):
    ours = Torchvision("fcos_resnet50_fpn").build(device="meta")
    theirs = Timm("resnet50").build(device="meta", output="maps")
    adapt(ours, method)
    adapt(theirs, method)
    assert count(ours) == count(theirs)


def test_a_head_is_a_copy_with_a_new_classifier():
    backbone = Torchvision("retinanet_resnet50_fpn_v2", weights="random").build(seed=3)
    first, second = backbone.width.head(2), backbone.width.head(2)
    one, other = first.detector.state_dict(), second.detector.state_dict()
    differ = {name for name in one if not torch.equal(one[name], other[name])}
    assert differ == {"head.classification_head.cls_logits.weight"}
    assert {p.data_ptr() for p in first.pyramid.parameters()}.isdisjoint(
        p.data_ptr() for p in second.pyramid.parameters()
    )


def test_a_file_in_torchs_folder_is_read_without_network(tmp_path, monkeypatch):
    """Weights as torchvision lays them out, with frozen BatchNorm, give what torchvision's own network gives."""
    torch.manual_seed(0)
    body = resnet_fpn_backbone(
        backbone_name="resnet50", weights=None, returned_layers=[2, 3, 4], extra_blocks=LastLevelP6P7(256, 256)
    )
    original = FCOS(body, num_classes=91).eval()
    for name, tensor in original.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            tensor.uniform_(0.5, 1.5)
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(original.state_dict(), folder / "made.pth")
    sha256 = hashlib.sha256((folder / "made.pth").read_bytes()).hexdigest()
    file = (folder / "made.pth").rename(folder / f"fcos-{sha256[:8]}.pth")
    monkeypatch.setattr(FCOS_ResNet50_FPN_Weights.COCO_V1.value, "url", f"https://nowhere/{file.name}")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("LORA_BENCH_OFFLINE", "1")
    backbone = Torchvision("fcos_resnet50_fpn").build()
    head = backbone.width.head(2)
    x = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        ours = head.pyramid(backbone.module.eval()(x))
        theirs = list(original.backbone(x).values())
        assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-4) for a, b in zip(ours, theirs, strict=True))
        boxes = head.detector.head(list(ours))["bbox_regression"]
        assert torch.allclose(boxes, original.head(theirs)["bbox_regression"], rtol=1e-4, atol=1e-4)
    assert backbone.provenance["weights_sha256"] == sha256
    assert backbone.provenance["weights"] == "torchvision: FCOS_ResNet50_FPN_Weights.COCO_V1"
    spoil(file)
    with pytest.raises(BadInput, match=r"has changed since it was fetched .*: delete .*, and it is fetched again"):
        Torchvision("fcos_resnet50_fpn").build()


def test_without_weights_and_network_the_way_out_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("LORA_BENCH_OFFLINE", "1")
    with pytest.raises(BadInput, match=r"LORA_BENCH_OFFLINE is set; .*TORCH_HOME.*weights='random'"):
        Torchvision("fcos_resnet50_fpn").build()


def test_a_network_that_does_not_answer_is_one_clear_line(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.delenv("LORA_BENCH_OFFLINE", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # where nobody listens
    monkeypatch.setattr(urllib.request, "_opener", None)  # it remembers the proxies of its first call
    with pytest.raises(BadInput, match=r"cannot be fetched \(.*refused.*put fcos_resnet50_fpn_coco-99b0c9b7\.pth into"):
        Torchvision("fcos_resnet50_fpn").build()


def test_detectors_of_torchvision_by_name():
    assert resolve("fcos_resnet50_fpn") == Torchvision("fcos_resnet50_fpn")
    spec = "Torchvision('fasterrcnn_resnet50_fpn_v2', weights='random', image_size=256)"
    assert repr(resolve(spec)) == spec and resolve(spec).families == ("detection",)
    assert known("fcos*") == ["fcos_resnet50_fpn"]
    with pytest.raises(BadInput, match="did you mean 'retinanet_resnet50_fpn_v2'"):
        resolve("retinanet_resnet50_fpnv2")
    with pytest.raises(BadInput, match="did you mean 'fcos_resnet50_fpn'"):
        Torchvision("fcos_resnet50")
    with pytest.raises(BadInput, match="unknown weights"):
        Torchvision("fcos_resnet50_fpn", weights="coco")
    with pytest.raises(BadInput, match="image_size 0"):
        Torchvision("fcos_resnet50_fpn", image_size=0)
