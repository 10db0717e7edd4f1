"""A trained adapter in PEFT's own format, where the method has a form there (`peft_forms`); else as it is kept."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from bench.deploy.loading import Trained
from bench.deploy.merged import Plain, classifier_of, packed
from bench.deploy.peft_forms import Form, filled, form
from bench.errors import BadInput
from bench.models import HuggingFace, Timm, Torchvision
from bench.records import write_atomically


def write_adapter(trained: Trained, folder: Path) -> tuple[Plain | None, str]:
    """Writes the adapter.

    Args:
        trained: the run.
        folder: where to.

    Returns:
        How it is loaded with PEFT alone (None where PEFT has no such method) and what was written, in words.
    """
    timm_class = isinstance(trained.run.model, Timm) and trained.family == "images"
    try:
        found = form(trained.backbone.module, trained.run.method).below("" if timm_class else "body.")
        return _on_timm(trained, found, folder) if timm_class else _on_body(trained, found, folder)
    except BadInput as error:
        for path in folder.iterdir() if folder.is_dir() else ():
            path.unlink() if path.is_file() else shutil.rmtree(path)
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(trained.path, folder / trained.path.name)
        return None, f"{error}; written as kept, for bench.load_model('{trained.path.name}')"


def _write(trained: Trained, found: Form, base: nn.Module, folder: Path, *, place: str = "") -> None:
    """PEFT's files, by PEFT itself.

    Args:
        trained: the run.
        found: its method's form.
        base: the network that PEFT is to wrap, with its weights as they were before.
        folder: where to.
        place: of the head in it, which is written too.
    """
    about = {"base_model_name_or_path": trained.run.model.name, "modules_to_save": [place] if place else None}
    configuration = found.configuration(**about)
    import peft

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of starts, which are overwritten
        wrapped: Any = peft.get_peft_model(base, configuration)  # type: ignore[arg-type]
    filled(wrapped, found)
    if place:
        head: Any = wrapped.get_submodule(f"base_model.model.{place}")
        head.modules_to_save["default"].load_state_dict(trained.network.head.state_dict())
    wrapped.save_pretrained(str(folder), save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)  # the card is ours


def _on_timm(trained: Trained, found: Form, folder: Path) -> tuple[Plain, str]:
    import timm

    model: Any = trained.run.model
    options: dict[str, Any] = {"num_classes": max(1, len(trained.classes))}
    options |= {"img_size": model.image_size} if model.image_size and _fixed(model.name) else {}
    place = classifier_of(timm.create_model(model.name.partition(".")[0], **options, device="meta"))
    said = ", ".join(f"{key}={value!r}" for key, value in options.items())
    name, source, base = model.name, "pretrained=True", _base(trained, options, place)
    if _is_own(model):
        head = {f"{place}.{key}": tensor for key, tensor in trained.network.head.state_dict().items()}
        write_atomically(folder / "base.safetensors", packed(base.state_dict() | head))
        name, source = model.name.partition(".")[0], "checkpoint_path='base.safetensors'"
    _write(trained, found, base, folder, place=place)  # from here on the base is PEFT's
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


def _on_body(trained: Trained, found: Form, folder: Path) -> tuple[Plain, str]:
    run = trained.run
    _write(trained, found, run.model.build(seed=run.seed, output=run.task.output).module.body, folder)
    write_atomically(folder / "head.safetensors", packed(trained.network.head.state_dict()))

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
    plain = Plain((*lines, f"model = peft.PeftModel.from_pretrained({base}, '.').eval()"), load)
    return plain, "the adapter in PEFT's format; head.safetensors beside it"


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
