"""Text backbones from Hugging Face transformers: encoders and decoders, pooled to one vector a text or one a token."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn

from bench.errors import BadInput, unknown
from bench.models import language_models, text_files, text_shapes, text_weights
from bench.models.backbone import Backbone
from bench.models.dropout import for_every_method, silence, silence_configuration
from bench.models.language_models import LanguageNetwork
from bench.models.reduced import check_base, reduce
from bench.models.roles import sites
from bench.models.text_network import TextNetwork, linears_for_conv1d
from bench.models.text_weights import TEXT_ASSETS, Files
from bench.models.trace import Seen, seen
from bench.sites import Site, depth
from bench.spec import Spec, check_numbers

UNLIMITED = 10**7
"""A limit on tokens from which on it is none: tokenizers without one say 10**30."""

POOLS = ("mean", "last", "token")


@dataclass(frozen=True)
class TextInputs:
    """What a text task must know.

    Args:
        tokenizer: a fast tokenizer of transformers, with a padding token, that pads on the right.
        length: most tokens the model takes, special tokens included.
    """

    tokenizer: Any
    length: int

    @cached_property
    def sha256(self) -> str:
        """Of all that decides which ids a text gets, whatever the length."""
        rules = json.loads(self.tokenizer.backend_tokenizer.to_str())
        rules.update(truncation=None, padding=None)  # what the last call asked for
        rules["inputs"] = [*self.tokenizer.model_input_names, self.tokenizer.pad_token_id]
        return hashlib.sha256(json.dumps(rules, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, repr=False)
class HuggingFace(Spec):
    """A text model of transformers without its heads (Wolf et al. 2020, arXiv:1910.03771); of T5 or BART the encoder.

    Args:
        name: an asset ("minilm-l6": `bench models` lists them), a folder as `save_pretrained` leaves it, a name on
            the hub ("roberta-base"), or a known shape ("test-bert", "gpt3-175b").
        weights: "pretrained" takes the asset where there is one of that name, else the folder, else the hub; "hub"
            forces the hub; "random" initialises from the run's seed, with the same tokenizer where it can be had
            and bytes otherwise.
        pool: "mean" over the real tokens, "last" real token, "token" for the first (CLS); "" for "mean" in encoders
            and "last" in decoders, whose earlier tokens have not seen the later ones.
        max_length: tokens a text is cut to; None for as many as the model takes.
        dropout: rate wherever the network has dropout, in frozen parts too, so under every method; 0 for none, whatever
            the configuration says. Always part of the text: where it was left out, older records had the
            configuration's.
        revision: branch, tag or commit on the hub.
        base: how the weights of Linear layers, and for "bf16" of embeddings, are stored: "fp32", "bf16", "int8", "nf4",
            or "nf4 double", whose scales are packed too. What is reduced stays frozen (QLoRA, arXiv:2305.14314);
            biases and normalisations stay in full precision.
    """

    name: str
    weights: str = "pretrained"
    pool: str = ""
    max_length: int | None = None
    dropout: float = 0.0
    revision: str = ""
    base: str = "fp32"

    shows: ClassVar[tuple[str, ...]] = ("dropout",)
    families: ClassVar[tuple[str, ...]] = ("text",)

    def __post_init__(self) -> None:
        check_numbers(self)
        if not isinstance(self.name, str) or not self.name.strip():
            raise BadInput(f"name {self.name!r}: give a text model's name or folder")
        if self.weights not in ("pretrained", "hub", "random"):
            raise unknown("weights", self.weights, ("pretrained", "hub", "random"))
        if self.pool not in ("", *POOLS):
            raise unknown("pool", self.pool, POOLS)
        if self.max_length is not None and (type(self.max_length) is not int or self.max_length < 4):
            raise BadInput(f"max_length {self.max_length!r}: give a whole number of tokens ≥ 4")
        if type(self.dropout) not in (int, float) or not 0 <= self.dropout < 1:
            raise BadInput(f"dropout {self.dropout!r}: needs 0 ≤ dropout < 1")
        object.__setattr__(self, "dropout", float(self.dropout))
        check_base(self.base)
        if self.revision and (self.asset is not None or (self.weights != "hub" and text_weights.is_local(self.name))):
            raise BadInput(f"revision={self.revision!r}: {self.name!r} is not taken from the hub; leave it out")

    @property
    def asset(self) -> str | None:
        """Name of the asset that holds the weights, if it is one."""
        return self.name if self.weights == "pretrained" and self.name in TEXT_ASSETS else None

    @property
    def generates(self) -> bool:
        """Whether it is a decoder, or has one: what is usually trained on the next token. Asks its configuration."""
        config = text_weights.find(self.name, weights=self.weights, revision=self.revision, meta=True).config
        return language_models.is_decoder(config) or config.is_encoder_decoder

    def fingerprint(self) -> str | None:
        """sha256 of files that may change under their name, as those in a local folder may; None for pinned ones."""
        if self.weights == "hub" or self.name in TEXT_ASSETS or not text_weights.is_local(self.name):
            return None
        return text_files.fingerprint(Path(self.name).expanduser(), weights=self.weights != "random")

    def cached(self) -> str | None:
        """sha256 of the hub's files that lie in its cache, as `Backbone.provenance` has it; None where none do."""
        if self.weights == "random" or self.asset is not None or self.fingerprint() is not None:
            return None
        place = text_files.snapshot(self.name, self.revision)
        return text_files.fingerprint(place) if place else None

    def untrained(self) -> HuggingFace:
        """The same network and tokenizer with random weights, for what needs no others: timing."""
        return replace(self, weights="random")

    def build(self, *, device: str = "cpu", seed: int = 0, output: str = "pooled", kernels: str = "") -> Backbone:
        """Makes the backbone; on device "meta" only its shapes, without fetching weights.

        Args:
            device: where it goes.
            seed: of random weights.
            output: "pooled" for one vector a text, "tokens" for one a token; "loss: float32" for a loss of tokens.
            kernels: of which type of device the network takes them; by default of `device`.

        Raises:
            BadInput: files that cannot be had, a tokenizer without fast implementation or padding, or no text model.
        """
        _check_output(output, self.pool)
        if device == "meta" and self.base == "fp32" and (self.asset or not text_weights.is_local(self.name)):
            known = _shapes(self, output, kernels)
            return copy.deepcopy(known, {id(known.inputs): known.inputs})  # one tokenizer for all
        return self._built(device, seed, output, kernels)

    def _built(self, device: str, seed: int, output: str, kernels: str) -> Backbone:
        meta, random = device == "meta", device == "meta" or self.weights == "random"
        files = text_weights.find(self.name, weights=self.weights, revision=self.revision, meta=meta)
        text_shapes.check_text(files.name, files.config)
        _prepare_tokenizer(files)
        self._configure(files.config)
        whole = language_models.library_class(files) if output.startswith(language_models.OUTPUT) else None
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            place = "meta" if meta else None
            body = text_weights.network(files, random=random, revision=self.revision, device=place, whole=whole)
        _prepare_network(body, kernels or device, counted=meta and not kernels, silent=not self.dropout)
        inputs = TextInputs(files.tokenizer, self._length(files, body))
        module = self._module(files, body, output)
        module.to(device).eval()  # transformers leaves it so where it loads weights, and not where it makes them
        example = partial(_examples, inputs, module)
        for_every_method(module, asked=f"dropout={self.dropout}" if self.dropout else "", example=example)
        return Backbone(
            module=module,
            sites=_measured(module, seen(module, example, name=self.name), files.config.hidden_size),
            width=module.features.width,
            inputs=inputs,
            example=example,
            provenance=self._provenance(files, random=random) | reduce(module, self.base, name=self.name),
            mixed_precision=True,  # MiniLM on an EPYC: 1.3× as fast, LoRA and full fine-tuning alike
            output=output,
        )

    def _configure(self, config: Any) -> None:
        config.use_cache = False  # of keys and values, for generation
        silence_configuration(config, dropout=self.dropout)

    def _module(self, files: Files, body: nn.Module, output: str) -> TextNetwork | LanguageNetwork:
        if output.startswith(language_models.OUTPUT):
            return LanguageNetwork(body, loss=output.removeprefix(language_models.OUTPUT))
        return TextNetwork(body, pool=self._pool(files.config) if output == "pooled" else "")

    def _pool(self, config: Any) -> str:
        decoder = language_models.is_decoder(config)
        if decoder and self.pool == "token":
            raise BadInput(f"pool='token': the first token of {self.name}, a decoder, sees none of the others")
        return self.pool or ("last" if decoder else "mean")

    def _length(self, files: Files, body: nn.Module) -> int:
        """Tokens the model takes: no more than it has positions, nor than its tokenizer declares."""
        limits: list[Any] = [files.tokenizer.model_max_length]
        with contextlib.suppress(AttributeError, NotImplementedError):  # XLNet's: "no sequence length limit"
            limits.append(files.config.max_position_embeddings)
        limits.append(getattr(files.config, "n_positions", None))  # T5's: what it was trained with
        for name, module in body.named_modules():
            if name.endswith("position_embeddings") and getattr(module, "padding_idx", None) is not None:
                limits.append(len(module.weight) - module.padding_idx - 1)  # type: ignore[arg-type, operator]
        most = min((n for n in limits if n and 0 < n < UNLIMITED), default=self.max_length)
        if most is None:
            raise BadInput(f"{self.name} does not say how many tokens it takes: say max_length=…")
        if self.max_length and self.max_length > most:
            raise BadInput(f"max_length {self.max_length}: {self.name} takes at most {most} tokens")
        return self.max_length or most

    def _provenance(self, files: Files, *, random: bool) -> dict[str, str | None]:
        if random:
            bytewise = "" if files.tokenizer_is_own else " (texts as bytes)"
            known = {"model_sha256": own} if (own := self.fingerprint()) else {}
            return {"weights": "random" + bytewise, "weights_sha256": None, **known}
        return text_weights.provenance(files, self.revision)


@lru_cache(maxsize=8)  # plans and estimates ask for the same network for every method
def _shapes(model: HuggingFace, output: str, kernels: str) -> Backbone:
    return model._built("meta", 0, output, kernels)


def _check_output(output: str, pool: str) -> None:
    if output not in ("pooled", "tokens") and not output.startswith(language_models.OUTPUT):
        raise unknown("output", output, ("pooled", "tokens"))
    if pool and output != "pooled":
        raise BadInput(f"pool={pool!r}: features of every token are not pooled; leave it out")


def _prepare_tokenizer(files: Files) -> None:
    """Sees to a fast tokenizer that pads on the right and returns just what the network reads.

    Where it has no padding token the end-of-text token pads: the mask hides it. The configuration keeps its own
    `pad_token_id`, for an embedding gives its padding token no gradient.
    """
    tokenizer, config = files.tokenizer, files.config
    if not getattr(tokenizer, "is_fast", False):
        raise BadInput(f"{files.name!r} has no fast tokenizer ({type(tokenizer).__name__}): save one with it")
    if tokenizer.pad_token is None:
        if tokenizer.eos_token is None:
            raise BadInput(f"the tokenizer of {files.name!r} has neither a padding nor an end-of-text token: set one")
        tokenizer.pad_token = tokenizer.eos_token
    if len(tokenizer) > config.vocab_size:
        raise BadInput(f"{files.name!r} has embeddings for {config.vocab_size} tokens, its tokenizer {len(tokenizer)}")
    tokenizer.padding_side = tokenizer.truncation_side = "right"
    typed = (getattr(config, "type_vocab_size", None) or 0) > 1
    tokenizer.model_input_names = ["input_ids", "attention_mask"] + ["token_type_ids"] * typed


def _prepare_network(body: Any, device: str, *, counted: bool, silent: bool) -> None:
    """Linears for Conv1D, and on a CPU eager attention: on short texts the fused one makes a LoRA step 1.5× as long.

    Where it is only `counted`, on shapes, the experts of a mixture are multiplied in one batch: that needs no values.
    """
    linears_for_conv1d(body)
    if silent:
        silence(body)  # what is written into the network and not its configuration
    if counted and any(type(module).__name__.endswith("Experts") for module in body.modules()):
        body.set_experts_implementation("batched_mm")
    if torch.device(device).type == "cpu":
        body.set_attn_implementation("eager")


def _measured(module: TextNetwork | LanguageNetwork, pass_: Seen | None, declared: int) -> tuple[Site, ...]:
    """The sites; the features get the width of what comes out, which need not be that of the hidden states."""
    found = sites(module, pass_.called if pass_ else None)
    if isinstance(module, LanguageNetwork):
        return found
    module.features.width = pass_.width if pass_ else declared
    return (*found, Site("features", "features", depth(found)))


def _examples(inputs: TextInputs, module: nn.Module, n: int, length: int = 16) -> Any:
    made = _random_texts(inputs, n, length, next(module.parameters()).device)
    if isinstance(module, LanguageNetwork):
        made["labels"] = made["input_ids"].clone()
    return made


def _random_texts(inputs: TextInputs, n: int, length: int, device: torch.device) -> Any:
    """A batch of n texts of `length` ordinary tokens, or as many as the model takes, without padding."""
    from transformers import BatchEncoding

    special = set(inputs.tokenizer.all_special_ids)
    ordinary = torch.tensor([i for i in range(len(inputs.tokenizer)) if i not in special])
    draw = torch.randint(len(ordinary), (n, min(length, inputs.length)), generator=torch.Generator().manual_seed(0))
    ids = ordinary[draw]
    made = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids)}
    return BatchEncoding({name: made[name] for name in inputs.tokenizer.model_input_names}).to(device)
