"""Prompt tuning: learned vectors before the words of a text."""

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
from bench.sites import Site
from bench.space import Range, Space


@dataclass(frozen=True, repr=False)
class PromptTuning(Method):
    """[P, E(text)] enters the network, P ∈ R^(prompts×d) learned. Lester et al. 2021, section 2 (arXiv:2104.08691).

    Prompts take the first positions and are attended to by every token; padding stays masked. They leave behind the
    last block, so that no pooling sees them. They start at the embeddings of tokens drawn from the vocabulary, as in
    section 3.2.

    Args:
        prompts: p ≥ 1. Text and prompts together must find positions.
    """

    prompts: int = 20

    departs: ClassVar[str | None] = "prompts stand before the text"
    shows: ClassVar[tuple[str, ...]] = ("prompts",)
    space: ClassVar[Space] = {**Method.space, "lr": Range(1e-3, 1e-1, log=True, default=1e-2)}

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least("prompts", 1)

    def apply(self, model: nn.Module, sites: Sequence[Site]) -> None:
        """Freezes the backbone and hangs the prompts before its first layer.

        Raises:
            BadInput: it is no encoder or decoder for texts that takes embeddings in place of tokens.
        """
        freeze(model)
        host = text_body(model, self, "inputs_embeds")
        table = host.get_input_embeddings()
        drawn = torch.randint(table.weight.shape[0], (self.prompts,)).to(table.weight.device)
        with torch.no_grad():
            start = table(drawn)
        if not isinstance(start, Tensor):
            raise BadInput(f"PromptTuning: the embeddings of {type(host).__name__} give more than vectors")
        host.add_module("prompt", Prompt(start))
        host.register_forward_pre_hook(partial(_prepend, "prompt"), with_kwargs=True)
        host.register_forward_hook(partial(_cut, "prompt"))


class Prompt(nn.Module):
    """P (prompts, d), learned.

    Args:
        start: its values at the start.
    """

    def __init__(self, start: Tensor) -> None:
        super().__init__()
        self.P = nn.Parameter(start.detach().clone())


def text_body(model: nn.Module, method: Method, takes: str) -> Any:
    """The transformer of a text model, without a head.

    Args:
        model: the backbone.
        method: asks, for messages.
        takes: what its `forward` must take.

    Raises:
        BadInput: there is none, it does not take that, or is an encoder and a decoder.
    """
    name = type(method).__name__
    bodies = [module for module in model.modules() if hasattr(module, "get_input_embeddings")]
    if not bodies:
        raise BadInput(f"{name} is for texts: this network has no embedding of tokens; for pictures there is VPT")
    host: Any = getattr(bodies[0], "base_model", bodies[0])
    known = inspect.signature(host.forward).parameters
    if "decoder_input_ids" in known:
        raise BadInput(f"{name}: {type(host).__name__} is an encoder and a decoder: take the encoder alone")
    if takes not in known:
        raise BadInput(f"{name}: {type(host).__name__} does not take {takes}")
    if hasattr(host, "prompt"):
        raise BadInput(f"{type(host).__name__} already has prompts: was a method applied twice?")
    return host


def room(host: Any, tokens: int, prompts: int) -> None:
    """Refuses a text that, behind the prompts, has more tokens than there are learned positions."""
    for path, module in host.named_modules():
        if isinstance(module, nn.Embedding) and any(word in path.rpartition(".")[2] for word in ("position", "wpe")):
            first = getattr(module, "offset", 0) or (-1 if module.padding_idx is None else module.padding_idx) + 1
            if tokens + prompts > len(module.weight) - first and "rel" not in path:
                most = len(module.weight) - first
                raise BadInput(
                    f"{prompts} prompts before {tokens} tokens are more than the {most} positions of "
                    f"{type(host).__name__}: give the model max_length={most - prompts}"
                )


def longer_mask(mask: Tensor, prompts: int) -> Tensor:
    """A mask (N, L), or (N, 1, …, L), in which the prompts are seen."""
    return torch.cat([mask.new_ones(*mask.shape[:-1], prompts), mask], dim=-1)


def _prepend(name: str, host: Any, args: tuple[Any, ...], given: Mapping[str, Any]) -> tuple[tuple[Any, ...], Any]:
    given = {"input_ids": args[0], **given} if args else dict(given)
    P = getattr(host, name).P
    embedded = given.pop("inputs_embeds", None)
    ids = given.pop("input_ids", None)
    if embedded is None:
        embedded = host.get_input_embeddings()(ids)
    n, tokens = embedded.shape[:2]
    room(host, tokens, len(P))
    given["inputs_embeds"] = torch.cat([P.to(embedded.dtype).expand(n, -1, -1), embedded], dim=1)
    if given.get("attention_mask") is not None:
        given["attention_mask"] = longer_mask(given["attention_mask"], len(P))
    if given.get("token_type_ids") is not None:
        kinds = given["token_type_ids"]
        given["token_type_ids"] = torch.cat([kinds.new_zeros(n, len(P)), kinds], dim=1)
    if given.get("position_ids") is not None:
        places = given["position_ids"]
        first = torch.arange(len(P), device=places.device).expand(len(places), -1)
        given["position_ids"] = torch.cat([first, places + len(P)], dim=1)
    return (), given


def _cut(name: str, host: Any, args: tuple[Any, ...], output: Any) -> Any:
    output.last_hidden_state = output.last_hidden_state[:, len(getattr(host, name).P) :]
    return output
