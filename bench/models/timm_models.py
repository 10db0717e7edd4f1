"""Image backbones from timm, with weights from the hub, from the assets, or random."""

from __future__ import annotations

import contextlib
import copy
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, ClassVar

import timm
import torch
from timm.layers import resample_abs_pos_embed
from torch import Tensor, nn

from bench.errors import BadInput, unknown
from bench.models import weights as asset_weights
from bench.models.backbone import Backbone, Features, Maps
from bench.models.dropout import for_every_method, silence
from bench.models.feature_maps import any_size, map_sites, timm_maps
from bench.models.hub import go_offline_if_need_be
from bench.models.reduced import check_base, reduce
from bench.models.roles import below, called_below, sites
from bench.models.trace import seen
from bench.sites import Site, depth
from bench.spec import Spec, check_numbers

EAGER_UP_TO = 324
"""Patches of a picture up to which attention on a CPU is eager: the fused kernel makes a training step 1.25 to 1.35
times as long at 16 to 256 patches, but spares memory, which grows with their square."""


@dataclass(frozen=True)
class ImageInputs:
    """What an image task must know: square size in pixels, and the per-channel mean and std to normalise with.

    A network that gives maps takes any size: there it is only the size to use where nothing else is asked for.
    """

    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


@dataclass(frozen=True, repr=False)
class Timm(Spec):
    """A timm backbone without classifier, by its name in timm (Wightman 2019).

    Args:
        name: e.g. "vit_base_patch16_224", with or without a weight tag (".augreg_in21k").
        weights: "pretrained" takes the asset where there is one for that name without a tag (`bench models` lists
            them) and timm's hub otherwise; "hub" forces the hub; another asset is asked for by its name
            ("mobilenetv2-imagenet"); "random" initialises from the run's seed. Mind that timm initialises DINOv2's
            LayerScale at 1e-5: its random twin is nearly an identity map.
        image_size: in pixels; None for the size of the weights.
        drop_path: stochastic depth rate, in frozen blocks too, so under every method; nothing else is dropped.
        pool: "" for the architecture's own, else "token", "avg", … as timm's `global_pool`.
        base: how the weights of Linear layers are stored: "fp32", "bf16", "int8", "nf4", or "nf4 double", whose scales
            are packed too. What is reduced stays frozen (QLoRA, arXiv:2305.14314); convolutions, biases and
            normalisations stay in full precision.
    """

    name: str
    weights: str = "pretrained"
    image_size: int | None = None
    drop_path: float = 0.0
    pool: str = ""
    base: str = "fp32"

    shows: ClassVar[tuple[str, ...]] = ()
    families: ClassVar[tuple[str, ...]] = ("images", "detection")

    def __post_init__(self) -> None:
        check_numbers(self)
        if not isinstance(self.name, str) or not timm.is_model(self.name):
            raise unknown("model", str(self.name), timm.list_models())
        architecture, _, tag = self.name.partition(".")
        if tag and self.name not in timm.list_pretrained(f"{architecture}.*"):
            raise unknown("weights", self.name, timm.list_pretrained(f"{architecture}.*"))
        if self.weights not in (ways := ("pretrained", "hub", "random", *asset_weights.NAMED.get(self.name, ()))):
            raise unknown("weights", self.weights, ways)
        if self.image_size is not None and (type(self.image_size) is not int or self.image_size < 1):
            raise BadInput(f"image_size {self.image_size!r}: give a whole number of pixels")
        if not 0 <= self.drop_path < 1:
            raise BadInput(f"drop_path {self.drop_path}: needs 0 ≤ drop_path < 1")
        check_base(self.base)

    @property
    def asset(self) -> str | None:
        """Name of the asset that holds the weights, if it is one."""
        if self.weights in asset_weights.NAMED.get(self.name, ()):
            return self.weights
        return asset_weights.ASSET_OF.get(self.name) if self.weights == "pretrained" else None

    def fingerprint(self) -> None:
        """Nothing: an architecture and a tag of timm name their weights for good."""

    def cached(self) -> str | None:
        """sha256 of the hub's file that lies in its cache; None where it does not, or another is loaded."""
        if self.weights == "random" or self.asset:
            return None
        return asset_weights.from_hub(self.name)["weights_sha256"]

    def untrained(self) -> Timm:
        """The same network with random weights, for what needs none: timing."""
        return replace(self, weights="random")

    def build(self, *, device: str = "cpu", seed: int = 0, output: str = "pooled", kernels: str = "") -> Backbone:
        """Makes the backbone; on device "meta" only its shapes, without fetching weights.

        Args:
            device: where it goes.
            seed: of random weights.
            output: "pooled" for one vector a picture; "maps" for feature maps, of pictures of any size: one map of a
                plain ViT, whose position embedding is resampled where a picture is not of `image_size`; the three
                coarsest (strides 8, 16 and 32) of a CNN or hierarchical transformer.
            kernels: of which type of device the network takes them; by default of `device`.

        Raises:
            BadInput: weights that cannot be had, or a network that cannot be adapted or gives no maps.
        """
        if output not in ("pooled", "maps"):
            raise unknown("output", output, ("pooled", "maps"))
        if device == "meta" and self.base == "fp32":
            return copy.deepcopy(_shapes(self, output, kernels))
        return self._built(device, seed, output, kernels)

    def _built(self, device: str, seed: int, output: str, kernels: str) -> Backbone:
        meta = device == "meta"
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model: Any = self._create(meta=meta, options=self._for_maps() if output == "maps" else {})
        if self.asset and not meta:
            self._load_asset(model)
        silence(model, paths=not self.drop_path)  # some architectures have rates of their own
        _attend_eagerly(model.to(device), kernels or device)
        inputs = self._inputs(model)
        module, found, width = self._maps(model, inputs) if output == "maps" else self._pooled(model, inputs)
        example = partial(noise, module, size=inputs.size)
        for_every_method(module, asked=f"drop_path={self.drop_path}" if self.drop_path else "", example=example)
        return Backbone(
            module=module,
            sites=found,
            width=width,
            inputs=inputs,
            example=example,
            resume=partial(_resume_vit, model) if module is model and _is_plain_vit(model) else None,
            provenance=self._provenance(meta) | reduce(module, self.base, name=self.name),
            mixed_precision=any(site.role == "q" for site in found),
            output=output,
        )

    def _for_maps(self) -> dict[str, Any]:
        if self.pool:
            raise BadInput(f"pool={self.pool!r}: feature maps are not pooled; leave it out")
        return any_size(self.name, self.image_size)

    def _inputs(self, model: Any) -> ImageInputs:
        config = model.pretrained_cfg
        size = self.image_size or int(config["input_size"][-1])
        patch = getattr(getattr(model, "patch_embed", None), "patch_size", (1,))
        if isinstance(patch, tuple) and size < max(patch):
            raise BadInput(f"image_size {size}: {self.name} cuts pictures into patches of {max(patch)} pixels")
        return ImageInputs(size, tuple(config["mean"]), tuple(config["std"]))

    def _pooled(self, model: Any, inputs: ImageInputs) -> tuple[nn.Module, tuple[Site, ...], int]:
        """The network, its sites, and the width of what comes out of it, whatever it declares."""
        example = partial(noise, model, size=inputs.size)
        declared: int = getattr(model, "head_hidden_size", None) or model.num_features
        classifier = _classifier(model)
        path = next((name for name, module in model.named_modules() if name and module is classifier), None)
        if path is not None:
            model.set_submodule(path, features := Features(declared))
            with contextlib.suppress(BadInput):
                pass_ = seen(model, example, name=self.name)
                if pass_ is None or pass_.leaves_through(path):
                    features.width = pass_.width if pass_ else declared
                    found = sites(model, pass_.called if pass_ else None)
                    return model, (*found, Site(path, "features", depth(found))), features.width
            model.set_submodule(path, classifier)
        return self._behind(model, example)

    def _behind(self, model: nn.Module, example: Any) -> tuple[nn.Module, tuple[Site, ...], int]:
        """The same where no one classifier gives its place to the features (distilled models, CrossViT)."""
        network = PooledNetwork(model)
        pass_ = seen(network, example, name=self.name)
        if pass_ is None:
            raise BadInput(f"{self.name} has no single classifier to stand on, and cannot run on shapes alone")
        if not pass_.leaves_through("features"):
            raise BadInput(f"{self.name} gives {pass_.output} for a picture, not one vector")
        network.features.width = pass_.width
        found = below("body.", sites(model, called_below("body.", pass_)))
        return network, (*found, Site("features", "features", depth(found))), pass_.width

    def _maps(self, model: Any, inputs: ImageInputs) -> tuple[nn.Module, tuple[Site, ...], Maps]:
        network = timm_maps(model, self.name)
        pass_ = seen(network, partial(noise, model, size=inputs.size), name=self.name)
        return network, map_sites(network, pass_), Maps(network.channels, network.strides)

    def _create(self, *, meta: bool, options: dict[str, Any]) -> nn.Module:
        hub = not meta and self.weights != "random" and self.asset is None
        architecture = self.name.partition(".")[0]
        if hub and not timm.list_pretrained([architecture, f"{architecture}.*"]):
            raise BadInput(f"no pretrained weights exist for {self.name!r}: use weights='random', or another model")
        options = {"num_classes": 0, "drop_path_rate": self.drop_path or None, **options}
        if self.pool:
            options["global_pool"] = self.pool
        fixed = timm.get_pretrained_cfg(self.name)
        if self.image_size and fixed is not None and fixed.fixed_input_size:
            options.setdefault("img_size", self.image_size)
        if hub:
            asset_weights.cached(self.name)  # refuses what has changed, before it is loaded
            go_offline_if_need_be()
        try:
            return timm.create_model(self.name, pretrained=hub, device="meta" if meta else None, **options)
        except (AssertionError, ValueError, TypeError, ZeroDivisionError) as error:
            raise BadInput(f"{self!r} cannot be built: {error}") from error
        except Exception as error:
            if not hub:
                raise BadInput(f"{self!r} cannot be built: {type(error).__name__}: {error}") from error
            raise BadInput(
                f"no weights for {self.name!r}: the hub cannot be reached ({type(error).__name__}); "
                f"offline there are {', '.join(asset_weights.ASSET_OF)}, or weights='random'"
            ) from error

    def _load_asset(self, model: nn.Module) -> None:
        state = asset_weights.load(self.asset or "", like=model)
        if "pos_embed" in state:
            grid = model.patch_embed.grid_size  # type: ignore[union-attr]
            # The released graph resamples without antialiasing; timm's default shifts the final map by up to 0.09.
            state["pos_embed"] = resample_abs_pos_embed(state["pos_embed"], list(grid), antialias=False)  # type: ignore[arg-type]
        model.load_state_dict(state, strict=True)

    def _provenance(self, meta: bool) -> dict[str, str | None]:
        if meta or self.weights == "random":
            return {"weights": "random", "weights_sha256": None}
        return asset_weights.provenance(self.asset) if self.asset else asset_weights.from_hub(self.name)


@lru_cache(maxsize=8)  # plans and estimates ask for the same network for every method
def _shapes(model: Timm, output: str, kernels: str) -> Backbone:
    return model._built("meta", 0, output, kernels)


class PooledNetwork(nn.Module):
    """A network whose features leave it by no one module: they leave through a `Features` behind it.

    Args:
        body: pictures → features (N, width); its parameters are named as in its library, behind "body.".
    """

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body, self.features = body, Features(0)

    def forward(self, pictures: Tensor) -> Tensor:
        """Pictures (N, 3, H, W), normalised."""
        features: Tensor = self.features(self.body(pictures))
        return features

    def no_weight_decay(self) -> set[str]:
        """Parameters that the body exempts."""
        return {f"body.{name}" for name in getattr(self.body, "no_weight_decay", set)()}


def noise(model: nn.Module, n: int, size: int) -> Tensor:
    """Pictures of noise, each of its own tint: mean pooling would make plain noise all alike."""
    parameter = next(p for p in model.parameters() if p.is_floating_point())
    generator = torch.Generator().manual_seed(0)
    grain = torch.randn(n, 3, size, size, generator=generator)
    return (grain + 2 * torch.randn(n, 3, 1, 1, generator=generator)).to(parameter)


def _classifier(model: Any) -> Any:
    """What stands at the end of a timm network; None where it does not say."""
    try:
        return model.get_classifier()
    except AttributeError:
        return None


def _attend_eagerly(model: Any, device: str) -> None:
    """On a CPU, where pictures have few patches."""
    if torch.device(device).type == "cpu" and getattr(
        getattr(model, "patch_embed", None), "num_patches", None
    ) in range(1, EAGER_UP_TO + 1):
        for module in model.modules():
            if getattr(module, "fused_attn", False):
                module.fused_attn = False


def _is_plain_vit(model: Any) -> bool:
    return type(model).forward_features is timm.models.vision_transformer.VisionTransformer.forward_features


def _resume_vit(model: Any, block: int, x: Tensor) -> Tensor:
    """Runs a plain ViT from the input of block `block`, (N, tokens, width), to its features."""
    features: Tensor = model.forward_head(model.norm(model.blocks[block:](x)))
    return features
