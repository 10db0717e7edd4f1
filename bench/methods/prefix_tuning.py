"""Prefix tuning: learned keys and values before those of a text, in every block."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from bench.errors import BadInput
from bench.methods.method import Method, freeze
from bench.methods.prompt_tuning import longer_mask, room, text_body
from bench.sites import Site
from bench.space import Range, Space

STD = 0.02
"""Of the prefixes at the start: the spread of a transformer's embeddings there."""


@dataclass(frozen=True, repr=False)
class PrefixTuning(Method):
    """K ← [P_K, K], V ← [P_V, V] in every block. Li and Liang 2021, section 4.2 (arXiv:2101.00190).

    P_K, P_V ∈ R^(prefixes×d) of each block are learned themselves, as in P-tuning v2 (arXiv:2110.07602), without the
    MLP through which the paper trains them; it is thrown away afterwards. Positions of the text begin behind the
    prefixes. 2·prefixes·d parameters a block; with grouped keys and values, d is theirs.

    Args:
        prefixes: p ≥ 1. Text and prefixes together must find positions.
    """

    prefixes: int = 10

    departs: ClassVar[str | None] = "prefixes join the keys and values"
    shows: ClassVar[tuple[str, ...]] = ("prefixes",)
    space: ClassVar[Space] = {**Method.space, "lr": Range(1e-3, 1e-1, log=True, default=1e-2)}

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least("prefixes", 1)

    def apply(self, model: nn.Module, sites: Sequence[Site]) -> None:
        """Freezes the backbone and hands it the prefixes as keys and values of earlier tokens.

        Raises:
            BadInput: it is no text model that takes such.
        """
        freeze(model)
        host = text_body(model, self, "attention_mask")
        takes = inspect.signature(host.forward).parameters
        name = next((each for each in ("cache", "past_key_values") if each in takes), None)
        if name is None or "position_bias" in str(inspect.signature(_attention(host))):
            raise BadInput(f"PrefixTuning: {type(host).__name__} takes no keys and values of earlier tokens")
        config, weight = host.config, next(host.parameters())
        heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        shape = config.num_hidden_layers, 2, heads, self.prefixes, width
        host.add_module("prompt", Prefixes(shape, weight))
        host.register_forward_pre_hook(partial(_hand_over, name), with_kwargs=True)


class Prefixes(nn.Module):
    """P (blocks, 2, heads, prefixes, width of a head): keys, then values.

    Args:
        shape: of P.
        like: a tensor that gives device and dtype.
    """

    def __init__(self, shape: tuple[int, ...], like: Tensor) -> None:
        super().__init__()
        self.P = nn.Parameter(torch.empty(shape, device=like.device, dtype=like.dtype))
        nn.init.normal_(self.P, std=STD)


class Earlier:
    """Keys and values of earlier tokens, as transformers' `Cache`: it only ever gives, and keeps nothing.

    So that a block that runs twice, with activation checkpointing, sees the same.

    Args:
        P: of `Prefixes`.
    """

    is_compileable = False

    def __init__(self, P: Tensor) -> None:
        self.P = P
        self.is_sliding = [False] * len(P)

    def __len__(self) -> int:
        return len(self.P)

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Earlier tokens."""
        return self.P.shape[3]

    def get_query_offset(self, layer_idx: int = 0) -> int:
        """Place of the first token of the text."""
        return self.P.shape[3]

    def get_mask_sizes(self, queries: Any, layer_idx: int = 0) -> tuple[int, int]:
        """Number of keys, and the place of the first."""
        return self.P.shape[3] + (queries if isinstance(queries, int) else len(queries)), 0

    def update(self, keys: Tensor, values: Tensor, layer_idx: int, *args: Any, **more: Any) -> tuple[Tensor, Tensor]:
        """keys, values (N, heads, L, width). Returns both with the prefixes before them."""
        own = self.P[layer_idx].to(keys.dtype).unsqueeze(1).expand(-1, len(keys), -1, -1, -1)
        return torch.cat([own[0], keys], dim=2), torch.cat([own[1], values], dim=2)


def _attention(host: nn.Module) -> Any:
    """`forward` of the first module that is called an attention; of the host where none is."""
    found = (module for module in host.modules() if type(module).__name__.endswith("Attention"))
    return next(found, host).forward


def _hand_over(name: str, host: Any, args: tuple[Any, ...], given: Mapping[str, Any]) -> tuple[tuple[Any, ...], Any]:
    given = {"input_ids": args[0], **given} if args else dict(given)
    P = host.prompt.P
    ids = given.get("input_ids")
    read = given["inputs_embeds"] if ids is None else ids
    room(host, read.shape[1], P.shape[3])
    mask = given.get("attention_mask")
    mask = torch.ones(read.shape[:2], dtype=torch.long, device=P.device) if mask is None else mask
    given["attention_mask"] = longer_mask(mask, P.shape[3])
    if given.get("position_ids") is not None:
        given["position_ids"] = given["position_ids"] + P.shape[3]
    return (), {**given, name: Earlier(P)}
