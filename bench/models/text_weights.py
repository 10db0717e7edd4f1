"""Configuration, tokenizer and weights of a text model: from an asset, a local folder, the hub, or a bare shape."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench import assets
from bench.errors import BadInput
from bench.models.hub import check_unchanged, go_offline_if_need_be
from bench.models.text_files import described, hashes, snapshot, weight_files
from bench.models.text_shapes import ONLY_HERE, byte_tokenizer, configuration, nearest_shapes, shape_of

TEXT_ASSETS = {"minilm-l6": "minilm-l6", "bge-small": "bge-small", "paraphrase-l3": "minilm-l6"}
"""Asset with weights → asset with its tokenizer."""

TOKENIZERS = ("tokenizer*", "vocab*", "*.model", "merges.txt")
"""Files of which a folder with a tokenizer has one."""


NO_CODE = "name a model whose architecture transformers has itself"


@dataclass(frozen=True)
class Files:
    """What is known of a text model before its network is made.

    Args:
        name: as the user gave it.
        config: of transformers.
        tokenizer: of transformers; any.
        place: folder of the weights, or None for the hub or a bare shape.
        tokenizer_is_own: False for the byte tokenizer that stands in where a shape has no files.
    """

    name: str
    config: Any
    tokenizer: Any
    place: Path | None = None
    tokenizer_is_own: bool = True


def find(name: str, *, weights: str, revision: str, meta: bool) -> Files:
    """Configuration and tokenizer of `name`.

    Args:
        name: an asset, a local folder, a shape, or a name on the hub.
        weights: "pretrained", "hub" or "random".
        revision: branch, tag or commit on the hub; "" for its main branch.
        meta: whether only shapes are wanted: then no asset is fetched, and a known shape asks no hub.

    Raises:
        BadInput: nothing of that name can be had, or it cannot be read.
    """
    if weights != "hub" and name in TEXT_ASSETS and not (meta and not assets.status(name).cached):
        folder = assets.fetch(name)
        tokenizer = _tokenizer(assets.fetch(TEXT_ASSETS[name]))
        bare = not (folder / "config.json").exists()
        return Files(name, _shape(name, tokenizer) if bare else _config(folder), tokenizer, folder)
    if weights != "hub" and is_local(name):
        return _local(name, bare=meta or weights == "random")
    if name in ONLY_HERE and weights != "random" and not meta:
        raise BadInput(f"no pretrained weights exist for {name!r}: use weights='random', or another model")
    shape = shape_of(name)
    if shape is None or not (meta or name in ONLY_HERE):
        check_unchanged(described(snapshot(name, revision)))
        try:
            return Files(name, _config(name, revision), _tokenizer(name, revision))
        except BadInput:
            if weights != "random" or shape is None:
                raise
    tokenizer = byte_tokenizer()
    return Files(name, _shape(shape, tokenizer), tokenizer, tokenizer_is_own=False)


def is_local(name: str) -> bool:
    """Whether a name is that of a folder, or of a configuration in JSON, on this machine."""
    path = Path(name).expanduser()
    return path.is_dir() or (path.suffix == ".json" and path.is_file())


def _local(name: str, *, bare: bool) -> Files:
    """A folder as `save_pretrained` leaves it, or, where weights are not wanted, just a config.json."""
    path = Path(name).expanduser()
    folder = path if path.is_dir() else path.parent
    config = _config(path if path.name != "config.json" else folder)
    if bare and not any(path for pattern in TOKENIZERS for path in folder.glob(pattern)):
        tokenizer = byte_tokenizer()
        if getattr(config, "pad_token_id", None) is not None:  # RoBERTa counts positions from it
            config.pad_token_id = tokenizer.pad_token_id
        return Files(name, config, tokenizer, folder, tokenizer_is_own=False)
    return Files(name, config, _tokenizer(folder), folder)


def network(
    files: Files, *, random: bool, revision: str = "", device: str | None = None, whole: Any = None
) -> nn.Module:
    """The bare network of `files.config`, in float32, without pooler, heads and decoder.

    Args:
        files: configuration, tokenizer and place of the weights.
        random: weights from torch's generator.
        revision: branch, tag or commit on the hub.
        device: where random weights are made; by default on the CPU.
        whole: the class of transformers that makes all of it, with decoder and head, where that is wanted.

    Raises:
        BadInput: no weights, or they are not those of this network.
    """
    from transformers import AutoModel

    config = files.config
    maker, options = (whole, {}) if whole else (AutoModel, _bare(files))
    shipped = files.place if files.name in TEXT_ASSETS and not random else None
    graph = next(shipped.glob("*.onnx"), None) if shipped else None
    with quiet():
        if random or graph:
            with torch.device(device or "cpu"):
                model: nn.Module = maker.from_config(config, dtype=torch.float32, **options)
            if graph:
                model.load_state_dict(bert_from_onnx(graph), strict=True)
            return model if whole else _encoder(model)
        check_unchanged([] if files.place else weight_files(snapshot(files.name, revision)))
        with _told(files.name):
            model, report = maker.from_pretrained(
                files.place or files.name, config=config, dtype=torch.float32, output_loading_info=True,
                **_where(files.place or files.name, revision),
                **options,
            )  # fmt: skip
    _check_whole(files.name, model, report)
    return model if whole else _encoder(model)


def _bare(files: Files) -> dict[str, Any]:
    """What to make the bare network with: no pooler."""
    from transformers import MODEL_MAPPING

    config = files.config
    if type(config) not in MODEL_MAPPING:
        raise BadInput(f"{files.name!r} cannot be used: transformers has no bare model for {config.model_type!r}")
    cls: Any = MODEL_MAPPING[type(config)]
    if isinstance(cls, tuple):  # Funnel has two, with and without a decoder, and its configuration may say which
        cls = cls[0]
        config.architectures = config.architectures or [cls.__name__]
    pooler = "add_pooling_layer" in inspect.signature(cls).parameters
    return {"add_pooling_layer": False} if pooler else {}


def _encoder(model: Any) -> nn.Module:
    """What makes features of a text: of an encoder-decoder its encoder, else all."""
    return model.get_encoder() if model.config.is_encoder_decoder else model  # type: ignore[no-any-return]


def provenance(files: Files, revision: str) -> dict[str, str | None]:
    """Name of the weights (of those of the hub also the commit), and the sha256 of what was loaded.

    "weights_sha256" is that of the files with weights, "model_sha256" of all files that determine the network and what
    it makes of a text.

    Raises:
        BadInput: a file of the hub's cache has changed since it was fetched.
    """
    if files.name in TEXT_ASSETS and files.place:
        source = f"{files.name} as shipped in {assets.ASSETS[files.name].package}"
    elif files.place:
        source = f"local folder {files.place.name}"
    else:
        place = snapshot(files.name, revision)
        if place is None:
            return {"weights": f"hub: {files.name} at {revision or 'unknown'}", "weights_sha256": None}
        check_unchanged([*described(place), *weight_files(place)])
        return {"weights": f"hub: {files.name} at {place.name}", **hashes(place)}
    return {"weights": source, **hashes(files.place)}


@contextmanager
def quiet() -> Iterator[None]:
    """No bars and reports of transformers while it loads; what matters in them is checked and raised here."""
    from huggingface_hub.utils import are_progress_bars_disabled, enable_progress_bars
    from transformers.utils import logging

    level, bars, downloads = logging.get_verbosity(), logging.is_progress_bar_enabled(), are_progress_bars_disabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    if not downloads:
        enable_progress_bars()  # a download may take minutes
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def bert_from_onnx(path: Path) -> dict[str, Tensor]:
    """BERT's weights from an ONNX graph of floats or 8-bit integers, under transformers' names.

    Biases, norms and embeddings keep their names in the graph, behind a prefix. The weights of Linears are anonymous
    and transposed; the node that multiplies with one has its path: "/encoder/layer.0/intermediate/dense/MatMul".
    Eight-bit weights q come with a scale s and a zero point z, one a column: (q - z)·s.
    """
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(path).graph
    raw = {t.name: torch.from_numpy(numpy_helper.to_array(t).copy()) for t in graph.initializer}

    def weight(name: str) -> Tensor:
        stem = name.removesuffix("_quantized")
        if stem == name:
            return raw[name]
        return (raw[name].float() - raw[stem + "_zero_point"].float()) * raw[stem + "_scale"]

    state = {}
    for name in raw:
        if found := re.search(r"((?:embeddings|encoder\.layer)\.[\w.]+?\.(?:weight|bias))(_quantized)?$", name):
            state[found[1]] = weight(name)
    for node in graph.node:
        found = re.search(r"(encoder/layer\.\d+/.+)/MatMul(_quant)?$", node.name)
        if found and node.input[1] in raw:
            state[found[1].replace("/", ".") + ".weight"] = weight(node.input[1]).T.contiguous()
    return state


def _shape(name: str, tokenizer: Any) -> Any:
    return configuration(name, pad=tokenizer.pad_token_id)


def _config(place: str | Path, revision: str = "") -> Any:
    from transformers import AutoConfig

    with _told(str(place)), quiet():
        config: Any = AutoConfig.from_pretrained(place, **_where(place, revision))
    own = (getattr(config, "auto_map", None) or {}).get("AutoConfig", "").rpartition(".")[2]
    if own and own != type(config).__name__:  # its code makes another network than transformers does of these fields
        raise BadInput(f"{str(place)!r} has code of its own ({own}), which is never run: {NO_CODE}")
    return config


def _tokenizer(place: str | Path, revision: str = "") -> Any:
    from transformers import AutoTokenizer

    with _told(str(place)), quiet():
        return AutoTokenizer.from_pretrained(place, **_where(place, revision))


def _where(place: str | Path, revision: str) -> dict[str, Any]:
    """No code of the model's own is run, and a folder asks no hub."""
    if isinstance(place, Path):
        return {"local_files_only": True, "trust_remote_code": False}
    return {"local_files_only": go_offline_if_need_be(), "trust_remote_code": False, "revision": revision or "main"}


@contextmanager
def _told(name: str) -> Iterator[None]:
    """Says in one line why a model cannot be had."""
    try:
        yield
    except Exception as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        if "trust_remote_code" in str(error):
            raise BadInput(f"{name!r} has code of its own, which is never run: {NO_CODE}") from error
        if not is_local(name) and (name.endswith(".json") or name.startswith(("/", ".", "~"))):
            raise BadInput(
                f"no folder or file {name}: give one with a config.json, or a name (bench models)"
            ) from error
        if is_local(name):
            kind = "folder" if Path(name).is_dir() else "file"
            raise BadInput(f"the {kind} {name} cannot be loaded: {reason}") from error
        if go_offline_if_need_be():
            reason = "the hub cannot be reached, and it is not in the hub's cache"
        near = ", ".join(nearest_shapes(name)) or "none; bench models lists what there is"
        raise BadInput(
            f"no text model {name!r}: {reason}; offline there are {', '.join(TEXT_ASSETS)}, any local folder "
            "(for counts and memory its config.json is enough), or weights='random'; shapes like it, to count and to "
            f"estimate memory: {near}"
        ) from error


def _check_whole(name: str, model: nn.Module, report: dict[str, Any]) -> None:
    """Refuses weights of another network. A pooler, heads and old buffers may be left over."""
    parts = {child for child, _ in model.named_children()}
    base = f"{getattr(model, 'base_model_prefix', '')}."
    left = [key for key in report["unexpected_keys"] if key.endswith(".weight")]
    extra = [key for key in left if key.removeprefix(base).partition(".")[0] in parts]
    wrong = sorted({*report["missing_keys"], *extra, *(str(key) for key in report["mismatched_keys"])})
    if wrong:
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise BadInput(f"the weights of {name!r} are not those of its configuration: {wrong[0]}{more}")
