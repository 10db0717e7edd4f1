"""A trained adapter in PEFT's own format, where what the method computes is a LoRA there; else as it is kept.

A fused query-key-value layer with an A and a B for q and for v is one LoRA of twice the rank in PEFT: the A's are
stacked, and B is block-diagonal. So every layer's rank and scaling stand in `rank_pattern` and `alpha_pattern`.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from bench.deploy.loading import Trained
from bench.deploy.merged import Plain, classifier_of, packed
from bench.errors import BadInput
from bench.methods.branch import Branch
from bench.methods.dora import Directions, KernelDirections
from bench.methods.lora import ConvBranch, LinearBranch
from bench.models import HuggingFace, Timm, Torchvision
from bench.records import write_atomically


@dataclass(frozen=True)
class Pair:
    """A layer's LoRA as PEFT writes it: y + (alpha/rank)·B·A·x.

    Args:
        A, B: (rank, in) and (out, rank), or kernels.
        scale: alpha/rank.
    """

    A: Tensor
    B: Tensor
    scale: float

    @property
    def rank(self) -> int:
        """Of this layer."""
        return len(self.A)


def pairs(backbone: nn.Module, method: object) -> dict[str, Pair]:
    """The LoRA of every adapted layer by its path.

    Raises:
        BadInput: the method has something that is no LoRA.
    """
    found: dict[str, Pair] = {}
    for path, module in backbone.named_modules():
        if not isinstance(module, Branch):
            continue
        host = path.rpartition(".")[0]
        plain = not isinstance(module, Directions | KernelDirections)
        if plain and (isinstance(module, LinearBranch) or (isinstance(module, ConvBranch) and not module.pads)):
            up, down = module.pair()
            found[host] = Pair(down, up, module.scale)
        else:
            raise BadInput(f"{method!r} has no form in PEFT that this writes ({type(module).__name__} on {host})")
    trained = [name for name, p in backbone.named_parameters() if p.requires_grad and ".lora." not in name]
    if trained or not found:
        raise BadInput(f"{method!r} has no form in PEFT that this writes: it trains the network's own weights")
    return found


def write_adapter(trained: Trained, folder: Path) -> tuple[Plain | None, str]:
    """Writes the adapter.

    Args:
        trained: the run.
        folder: where to.

    Returns:
        How it is loaded with PEFT alone (None where PEFT has no such method) and what was written, in words.
    """
    try:
        found = pairs(trained.backbone.module, trained.run.method)
    except BadInput as error:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(trained.path, folder / trained.path.name)
        return None, f"{error}; written as kept, for bench.load_model('{trained.path.name}')"
    timm_class = isinstance(trained.run.model, Timm) and trained.family == "images"
    prefix = "" if timm_class else "body."
    if not all(path.startswith(prefix) for path in found):
        raise BadInput(f"{trained.run.model!r}: its layers have no names of its library's own")
    found = {path.removeprefix(prefix): pair for path, pair in found.items()}
    state = {}
    for path, pair in found.items():
        state[f"base_model.model.{path}.lora_A.weight"] = pair.A
        state[f"base_model.model.{path}.lora_B.weight"] = pair.B
    if timm_class:
        return _on_timm(trained, found, state, folder)
    write_atomically(folder / "head.safetensors", packed(trained.network.head.state_dict()))
    _write(trained, found, state, folder, saved=[])
    return _on_body(trained, folder), "the adapter in PEFT's format; head.safetensors beside it"


def _write(
    trained: Trained, found: dict[str, Pair], state: dict[str, Tensor], folder: Path, *, saved: list[str]
) -> None:
    from peft import LoraConfig

    ranks = {path: pair.rank for path, pair in found.items()}
    common = max(set(ranks.values()), key=list(ranks.values()).count)
    scale = next(iter(found.values())).scale
    alpha: Any = scale * common  # PEFT's hint says int, its files hold fractions
    config: Any = LoraConfig(
        r=common, lora_alpha=alpha, target_modules=_all_of(found), inference_mode=True,
        rank_pattern={f"^{re.escape(path)}$": rank for path, rank in ranks.items() if rank != common},
        alpha_pattern={f"^{re.escape(p)}$": each.scale * each.rank for p, each in found.items() if each.rank != common},
        modules_to_save=saved or None, base_model_name_or_path=trained.run.model.name,
    )  # fmt: skip
    about = config.to_dict()
    text = json.dumps({k: sorted(v) if isinstance(v, set) else v for k, v in about.items()}, indent=1, default=str)
    write_atomically(folder / "adapter_config.json", text)
    write_atomically(folder / "adapter_model.safetensors", packed(state))


def _all_of(found: dict[str, Pair]) -> str:
    """A pattern that just these layers match: PEFT takes ends of names otherwise."""
    return "|".join(re.escape(path) for path in sorted(found))


def _on_timm(trained: Trained, found: dict[str, Pair], state: dict[str, Tensor], folder: Path) -> tuple[Plain, str]:
    import timm

    model: Any = trained.run.model
    options: dict[str, Any] = {"num_classes": max(1, len(trained.classes))}
    options |= {"img_size": model.image_size} if model.image_size and _fixed(model.name) else {}
    place = classifier_of(timm.create_model(model.name.partition(".")[0], **options, device="meta"))
    head = trained.network.head.state_dict()
    state |= {f"base_model.model.{place}.{key}": tensor for key, tensor in head.items()}
    _write(trained, found, state, folder, saved=[place])
    said = ", ".join(f"{key}={value!r}" for key, value in options.items())
    name, source = model.name, "pretrained=True"
    if _is_own(model):
        own = _base(trained, options, place).state_dict() | {f"{place}.{key}": tensor for key, tensor in head.items()}
        write_atomically(folder / "base.safetensors", packed(own))
        name, source = model.name.partition(".")[0], "checkpoint_path='base.safetensors'"
    lines = (
        "import peft, timm",
        f"base = timm.create_model({name!r}, {source}, {said})",
        "model = peft.PeftModel.from_pretrained(base, '.').eval()",
    )
    return Plain(lines, lambda: _with_peft(_base(trained, options, place), folder)), "the adapter in PEFT's format"


def _fixed(name: str) -> bool:
    import timm

    known = timm.get_pretrained_cfg(name)
    return known is None or bool(known.fixed_input_size)


def _base(trained: Trained, options: dict[str, Any], place: str) -> nn.Module:
    """The library's network with the base's weights as they are here."""
    import timm

    run = trained.run
    base: nn.Module = timm.create_model(run.model.name.partition(".")[0], **options)
    own = run.model.build(seed=run.seed, output=run.task.output).module.state_dict()
    missing = set(base.state_dict()) - set(own)
    if any(not name.startswith(place) for name in missing):
        raise BadInput(f"{run.model!r} as a classifier of timm has other weights ({sorted(missing)[0]})")
    base.load_state_dict(own, strict=False)
    return base


def _with_peft(base: nn.Module, folder: Path) -> Callable[[Any], Any]:
    from peft import PeftModel

    loaded: Any = PeftModel.from_pretrained(base, str(folder))
    loaded.eval()
    return loaded  # type: ignore[no-any-return]


def _on_body(trained: Trained, folder: Path) -> Plain:
    run = trained.run

    def load() -> Callable[[Any], Any]:
        fresh = run.model.build(seed=run.seed, output=run.task.output).module
        fresh.body = _with_peft(fresh.body, folder)
        fresh.eval()
        return lambda inputs: trained.network.head(fresh(inputs))

    lines: tuple[str, ...] = ("import peft, timm",)
    base = f"timm.create_model({run.model.name!r}, pretrained=True, num_classes=0)"
    if isinstance(run.model, Torchvision):
        lines = ("import peft, torchvision",)
        base = f"torchvision.models.get_model({run.model.name!r}, weights='DEFAULT').backbone.body"
    elif isinstance(run.model, HuggingFace):
        lines = ("import peft, transformers",)
        base = f"transformers.AutoModel.from_pretrained({_of_text(trained, folder)!r})"
    return Plain((*lines, f"model = peft.PeftModel.from_pretrained({base}, '.').eval()"), load)


def _is_own(model: Any) -> bool:
    """Whether the base's weights are not those that the library fetches by the model's name."""
    return bool(model.asset) or model.weights == "random"


def _of_text(trained: Trained, folder: Path) -> str:
    """What `AutoModel.from_pretrained` is given: a name, or a folder that is written where the name means nothing."""
    run = trained.run
    if not _is_own(run.model):
        return str(run.model.name)
    body: Any = run.model.build(seed=run.seed, output=run.task.output).module.body
    body.save_pretrained(folder / "base")
    trained.backbone.inputs.tokenizer.save_pretrained(folder / "base")
    return "base"
