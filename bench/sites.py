"""Sites: the places of a network at which a method may be put, named by role and not by path.

A model publishes its sites (`bench/models/architectures.py`); a method asks for roles. Roles of weight layers:

=========  =====================================================================================
q k v o    query, key, value and output projections of attention (Linear, or rows of a fused one)
qkv        the fused query-key-value Linear as one matrix, where there is one
up down    first and last layer of a block's MLP (Linear, or a 1x1 convolution)
conv proj  ungrouped convolutions of a CNN block; `proj` is the last one of the residual branch
dwconv     grouped and depthwise convolutions
patch      the patch embedding or stem convolution
=========  =====================================================================================

Roles of whole modules: `block` (a residual block), `mlp` (the MLP of a block, from its input to before the residual
sum), `branch` (the last normalisation of a CNN block's residual branch) and `features` (the identity through which
the features leave the backbone).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.errors import BadInput, unknown

ATTENTION = ("q", "k", "v", "o")
MLP = ("up", "down")
ALL = ATTENTION + MLP
CONV = ("conv", "proj")
MODULE_ROLES = ("block", "mlp", "branch", "features")
LAYER_ROLES = ("q", "k", "v", "o", "qkv", "up", "down", "conv", "proj", "dwconv", "patch")
ROLES = LAYER_ROLES + MODULE_ROLES


class NoBlocks(BadInput):
    """A method wants residual blocks of a network in which none is known."""


@dataclass(frozen=True)
class Site:
    """One place of a network.

    Args:
        path: dotted module path, e.g. "blocks.3.attn.qkv".
        role: one of `ROLES`.
        block: depth index of the residual block, 0 first; "the last 2 blocks" filters on this.
            -1 for what comes before the blocks (the stem); the number of blocks for what comes after.
        rows: half-open range of output rows, where several roles share one fused Linear.
        source: path of the module at whose input the stretch begins, where no one module holds it all: BERT's MLP
            goes from the input of "intermediate.dense" to the output of "output.dense", which is then the `path`.
        bypassed: whether the network reads the weight past its module, so that whatever hangs there would be inert.
    """

    path: str
    role: str
    block: int
    rows: tuple[int, int] | None = None
    source: str | None = None
    bypassed: bool = False


def depth(sites: Iterable[Site]) -> int:
    """Number of residual blocks among `sites`."""
    return sum(site.role == "block" for site in sites)


def select(sites: Sequence[Site], *, at: Sequence[str], blocks: int | tuple[int, int] | None = None) -> list[Site]:
    """The sites with a role in `at`, in some of the blocks.

    Args:
        sites: what the model publishes.
        at: roles, e.g. ("q", "v").
        blocks: None for all; n > 0 for the first n blocks, n < 0 for the last |n|; (start, stop) for a range
            of depth indices, stop excluded.

    Returns:
        The matching sites in the order published, at least one.

    Raises:
        BadInput: a role that does not exist, nothing matches, or the network goes past a module that does; `NoBlocks`
            if no block of the network is known.
    """
    for role in at:
        if role not in ROLES:
            raise unknown("role", role, ROLES)
    total = depth(sites)
    start, stop = _range(blocks, total) if total else (-1, 1 if blocks is None else -1)
    found = [site for site in sites if site.role in at and start <= site.block < stop]
    if not found:
        here = sorted({site.role for site in sites if site.role in LAYER_ROLES})
        if not total:
            raise NoBlocks(
                f"at={tuple(at)!r}: this model's residual blocks are of a class not known here; "
                "add it to BLOCKS in bench/models/architectures.py"
            )
        raise BadInput(
            f"no site matches at={tuple(at)!r}, blocks={blocks!r}: this model has the roles {', '.join(here)}"
        )
    if past := [site for site in found if site.bypassed]:
        left = sorted({site.role for site in sites if site.role in LAYER_ROLES and not site.bypassed})
        raise BadInput(
            f"at={tuple(at)!r}: the network reads the weight of {past[0].path} directly: a branch there would be "
            f"inert; of its roles these can be had: {', '.join(left)}"
        )
    return found


def _range(blocks: int | tuple[int, int] | None, total: int) -> tuple[int, int]:
    """Half-open range of depth indices that `blocks` stands for in a model of `total` blocks."""
    match blocks:
        case None:
            return -1, total + 1
        case int(n) if 0 < abs(n) <= total:
            return (0, n) if n > 0 else (total + n, total)
        case (int(a), int(b)) if 0 <= a < b <= total:
            return a, b
    raise BadInput(f"blocks={blocks!r} selects nothing: the model has {total} blocks")
