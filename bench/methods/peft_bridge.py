"""Any tuner of the installed peft, put where the suite's sites are; `bench methods --peft` tells which hold what."""

from __future__ import annotations

import copy
import io
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, Self

import torch
from torch import Tensor, nn

from bench.errors import BadInput, unknown
from bench.methods.method import Method, freeze
from bench.methods.peft_layers import Parts, hang, layers_of, move, on_shapes, plain, put, same, with_values
from bench.sites import MODULE_ROLES, Site, select

REFUSED = {
    "ADAPTION_PROMPT": "adds prompts to the attention of Llama's own classes",
    "CARTRIDGE": "puts keys and values before those of a language model",
    "CPT": "puts prompts before the tokens of a language model, with a loss of its own",
    "LN_TUNING": "tunes normalisations, which are no sites: LayerNormTuning() does the same",
    "MULTITASK_PROMPT_TUNING": "puts prompts of several tasks before the tokens",
    "POLY": "wants the number of a task with every batch",
    "PREFIX_TUNING": "puts keys and values before those of a language model",
    "PROMPT_TUNING": "puts prompts before the tokens of a model with peft's own task head",
    "P_TUNING": "puts prompts before the tokens of a model with peft's own task head",
    "SHADOW": "trains a second, smaller network beside the first, with a loss of its own",
    "TRAINABLE_TOKENS": "trains rows of an embedding, which is no site",
    "XLORA": "mixes adapters that were trained before",
}
"""Tuners that have no place here, and why."""
SET_HERE = {
    "target_modules": "at=… and blocks=… say where",
    "exclude_modules": "at=… and blocks=… say where",
    "layers_to_transform": "blocks=… says which",
    "layers_pattern": "blocks=… says which",
    "layer_replication": "the network keeps its layers",
    "target_parameters": "at=… says where",
    "trainable_token_indices": "an embedding is no site",
    "feedforward_modules": "those of the role 'down' are",
    "modules_to_save": "the head is trained by every method",
    "bias": "Together(Peft(…), BitFit()) trains biases",
    "task_type": "the task is the suite's",
    "inference_mode": "it is for training",
    **dict.fromkeys(
        ("auto_mapping", "peft_type", "base_model_name_or_path", "revision", "peft_version"), "leave it out"
    ),
}
"""Options of peft's configurations that the bridge sets, and what to say in their place."""
DEPARTS = {
    "C3A": "its kernels start at random",
    "DEFT": "it decomposes in float32",
    "FOURIERFT": "its spectrum starts at random",
    "FROD": "it decomposes in float32",
    "UNILORA": "its vector starts at random",
    "VBLORA": "its mixture of vectors starts at random",
}
"""Tuners that do not start as the base, unless `init_weights` is given, and why."""
ADAPTER = "default"


@dataclass(frozen=True, repr=False, init=False)
class Peft(Method):
    """A tuner of Hugging Face's peft (Mangrulkar et al. 2022): `Peft("BOFT", boft_block_size=4, at=("q", "v"))`.

    peft never sees the network: it is given the layers selected, and what it makes of them is hung on them. So the
    base's keys, sites and Parameters stay as they are. `q`, `k` and `v` of a fused layer are three layers to it. What
    tuners share between layers is shared (VeRA, VB-LoRA), and what they do after a step is done (AdaLoRA).

    Args:
        tuner: peft's name of it, in any case: "BOFT", "OFT", "VERA", "FOURIERFT", …; `bench methods --peft` checks all.
        at: roles to adapt (`bench.sites`): q k v o qkv up down conv proj patch.
        blocks: all (None), the first n, the last n (-n), or a range (start, stop).
        options: the tuner's own, given by name, as its configuration in peft has them.
    """

    tuner: str = "OFT"
    at: tuple[str, ...] = ("q", "v")
    blocks: int | tuple[int, int] | None = None
    options: tuple[tuple[str, Any], ...] = ()

    named_freely = True

    def __init__(
        self, tuner: str = "OFT", at: Any = ("q", "v"), blocks: Any = None, options: Any = (), **more: Any
    ) -> None:
        given = {**dict(options), **more}
        kept = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
        for name, value in (("at", at), ("blocks", blocks), ("options", tuple(sorted(kept.items())))):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "tuner", tuner if tuner == "OFT" else _known(tuner))
        self.__post_init__()
        if kept or self.tuner in REFUSED:
            self._check(kept)

    def __repr__(self) -> str:
        said = [repr(self.tuner), f"at={self.at!r}"] + [f"blocks={self.blocks!r}"] * (self.blocks is not None)
        return f"Peft({', '.join([*said, *(f'{name}={value!r}' for name, value in self.options)])})"

    @property
    def config(self) -> dict[str, Any]:
        """Tuner, place and every option given."""
        return {"tuner": self.tuner, "at": self.at, "blocks": self.blocks, **dict(self.options)}

    def having(self, values: Mapping[str, Any]) -> Self:
        """The same with other values of what `config` names, or of other options."""
        return type(self)(**{**self.config, **values})

    @property
    def departs(self) -> str | None:  # type: ignore[override]
        """Why the tuner does not start as the base."""
        return None if "init_weights" in dict(self.options) else DEPARTS.get(self.tuner)

    def _check(self, options: Mapping[str, Any]) -> None:
        if self.tuner in REFUSED:
            raise BadInput(f"peft's {self.tuner} {REFUSED[self.tuner]}: it has no place here")
        takes = {field.name for field in fields(_classes(self.tuner)[0])}
        for name, value in options.items():
            if name in SET_HERE:
                raise BadInput(f"{name}={value!r}: {SET_HERE[name]}; leave it out")
            if name not in takes:
                raise unknown(f"option of peft's {self.tuner}", name, takes - SET_HERE.keys())
            if not isinstance(value, bool | int | float | str | tuple | None):
                raise BadInput(f"{name}={value!r}: give a plain value")
        self.configuration({"x": "down"})

    def configuration(self, roles: Mapping[str, str], **about: Any) -> Any:
        """peft's configuration for layers by their role; `about` is added to it."""
        kind, options = _classes(self.tuner)[0], dict(self.options)
        takes = {field.name for field in fields(kind)}
        if "total_step" in takes:
            options.setdefault("total_step", 2**40)  # known after the first step
        if "feedforward_modules" in takes:
            options["feedforward_modules"] = [path for path, role in roles.items() if role == "down"]
        with _told(self.tuner):
            return kind(**{"target_modules": list(roles), **options, **about})

    def apply(self, model: nn.Module, sites: Sequence[Site]) -> None:
        """Freezes the backbone and hangs the tuner's layers on every layer selected.

        Raises:
            BadInput: no site matches, peft does not take such a layer or option, or changes the base's own weights.
        """
        self._check(dict(self.options))
        freeze(model)
        parts: Parts = {}
        for site in sorted(select(sites, at=self.at, blocks=self.blocks), key=lambda s: (s.path, s.rows or (0, 0))):
            if site.role in MODULE_ROLES:
                raise BadInput(f"peft cannot adapt {site.path}: role {site.role!r} is no layer")
            parts[f"{site.path}.{site.role}"] = site, model.get_submodule(site.path)
        try:
            tuner, stand, given = self._made(parts, plain)
        except BadInput:  # of shapes alone, or in float64: some tuners decompose what they find, in float32
            if next(iter(parts.values()))[1].weight.dtype == torch.float32 and not on_shapes(parts):
                raise
            tuner, stand, given = self._made(parts, with_values)
        for path, (site, host) in parts.items():
            layer: Any = stand.get_submodule(path)
            if layer._modules.get("base_layer") is None:
                raise BadInput(f"peft's {self.tuner} does not wrap {site.path}: it has no place here")
            if not same(layer.base_layer, given[path]):
                raise BadInput(
                    f"peft's {self.tuner} with these options changes the base's own weights at the start, which would "
                    "be lost: leave them out, or take the suite's own method (PiSSA)"
                )
            hang(host, site, layer)
        move([stand.get_submodule(path) for path in parts], like=next(iter(parts.values()))[1].weight)
        if hasattr(tuner, "update_and_allocate"):
            vars(model).setdefault("peft_tuners", {})[self] = tuner

    def _made(self, parts: Parts, copied: Callable[..., Any]) -> tuple[Any, nn.Module, dict[str, nn.Module]]:
        """peft's tuner, the network of selected layers that it wrapped, and these as they were before."""
        stand, given = nn.Module(), {path: copied(host, site.rows) for path, (site, host) in parts.items()}
        for path, layer in given.items():
            put(stand, path, copy.deepcopy(layer))
        configuration = self.configuration({path: site.role for path, (site, _) in parts.items()})
        with _told(self.tuner):
            return _classes(self.tuner)[1](stand, {ADAPTER: configuration}, ADAPTER), stand, given

    def penalty(self, model: nn.Module) -> Tensor | None:
        """AdaLoRA's: orth_reg_weight · mean ‖PᵀP − I‖_F over its factors (Zhang et al. 2023, arXiv:2303.10512, eq. 4).

        peft adds it to the loss that its own model returns.
        """
        tuner = vars(model).get("peft_tuners", {}).get(self)
        weight = getattr(tuner and tuner.peft_config[ADAPTER], "orth_reg_weight", 0.0)
        if not weight:
            return None
        factors = [(name, p) for name, p in tuner.model.named_parameters() if "lora_A" in name or "lora_B" in name]
        squares = [p @ p.T if "lora_A" in name else p.T @ p for name, p in factors]
        return weight * torch.stack([(s - torch.eye(len(s)).to(s)).norm() for s in squares]).mean()  # type: ignore[no-any-return]

    def after_step(self, model: nn.Module, step: int, steps: int) -> None:
        """Allocates ranks, where the tuner does (AdaLoRA, AdaMSS)."""
        tuner = vars(model).get("peft_tuners", {}).get(self)
        if tuner is None:
            return
        settings = tuner.peft_config[ADAPTER]
        if hasattr(settings, "total_step") and "total_step" not in dict(self.options):
            settings.total_step = steps
            tuner.rankallocator.set_total_step(steps)
        tuner.update_and_allocate(step)

    def merged(self, model: nn.Module) -> nn.Module | None:
        """Has peft fold each layer, of a copy, and takes it over; a packed weight is unpacked first.

        Raises:
            BadInput: the tuner cannot merge; the network is as it was.
        """
        hosts: list[Any] = [each for each in model.modules() if "peft" in each._modules]
        folded = [[(rows, self._folded(host, layer, rows)) for rows, layer in layers_of(host)] for host in hosts]
        for host, parts in zip(hosts, folded, strict=True):
            del host.peft, host.forward, host.peft_rows
            if hasattr(host, "restore"):
                host.restore()
            for rows, layer in parts:
                for name, p in layer.named_parameters():
                    with torch.no_grad():
                        host.get_parameter(name)[slice(*rows) if rows else slice(None)].copy_(p)
        vars(model).pop("peft_tuners", None)
        return model if hosts else None

    def _folded(self, host: nn.Module, layer: Any, rows: tuple[int, int] | None) -> nn.Module:
        base = plain(host, rows)
        twin = copy.deepcopy(layer, {id(layer.base_layer): base})
        with _told(self.tuner, "cannot be merged"):
            twin.merge()
        return base


@contextmanager
def _told(tuner: str, what: str = "refuses") -> Iterator[None]:
    """What peft raises as one line of ours; what it warns of is not ours to act on."""
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):  # FRoD draws a progress bar
            warnings.simplefilter("ignore")
            yield
    except (BadInput, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise BadInput(f"peft's {tuner} {what}: {said}") from error


@cache
def _registered() -> dict[str, tuple[Any, Any]]:
    """Name of a tuner → its configuration's class and its own. peft is imported here, when it is used."""
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # peft imports it, and it tells of kernels to download
    try:
        from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING as MADE
        from peft.mapping import PEFT_TYPE_TO_TUNER_MAPPING as TUNERS
    except ImportError:
        raise BadInput("Peft needs peft: pip install 'lora-bench[peft]'") from None
    return {kind.value: (made, TUNERS.get(kind)) for kind, made in MADE.items()}


def tuners() -> list[str]:
    """Names of all tuners of the installed peft."""
    return sorted(_registered())


def _classes(tuner: str) -> tuple[Any, Any]:
    return _registered()[tuner]


def _known(tuner: Any) -> str:
    """peft's own name of a tuner; the first letter may be anything, and case and signs between words too."""
    names = {name.replace("_", ""): name for name in _registered()}
    found = names.get(str(tuner).upper().replace("_", "").replace("-", ""))
    if found is None:
        raise unknown("tuner of peft", str(tuner), _registered())
    return found
