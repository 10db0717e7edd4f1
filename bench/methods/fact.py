"""FacT: the updates of all layers, as one tensor, factorised with factors that the layers share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.errors import BadInput, unknown
from bench.methods.low_rank import Part, Rows, check_rank, layers, like, update_layers, whole
from bench.methods.method import Method
from bench.sites import Site
from bench.space import Range, Space

FORMS = ("TT", "TK")


@dataclass(frozen=True, repr=False)
class FacT(Method):
    """ΔW = scale·V·Σ·Uᵀ, U, V ∈ R^(d×rank) shared by all layers. Jie and Deng 2022, eq. 5-8 (arXiv:2212.03145).

    Each d×d piece of a weight, d the width of the model, has a Σ ∈ R^(rank×rank) of its own ("TT", tensor-train) or
    coefficients P ∈ R^rank of a core C ∈ R^(rank×rank×rank) that is shared too, Σ = P·C ("TK", Tucker). An MLP's
    4d×d matrix is four pieces. V starts at zero, the others as in the authors' code.

    Args:
        rank: r ≥ 1, at most d.
        form: "TT" or "TK".
        scale: s in the paper, which chooses among 0.01 to 100.
        at: roles to adapt (`bench.sites`): q k v o qkv up down; Linear layers alone.
        blocks: all (None), the first n, the last n (-n), or a range (start, stop).
    """

    rank: int = 16
    form: str = "TT"
    scale: float = 1.0
    at: tuple[str, ...] = ("q", "k", "v", "o", "up", "down")
    blocks: int | tuple[int, int] | None = None

    shows: ClassVar[tuple[str, ...]] = ("rank",)
    space: ClassVar[Space] = {**Method.space, "scale": Range(0.1, 10.0, log=True)}

    def __post_init__(self) -> None:
        super().__post_init__()
        self.at_least("rank", 1)
        self.above("scale", 0)
        if self.form not in FORMS:
            raise unknown("form of FacT", self.form, FORMS)

    def apply(self, model: nn.Module, sites: Sequence[Site]) -> None:
        """Freezes the backbone and hangs a factorised update on every Linear selected.

        Raises:
            BadInput: no site matches, a layer is no Linear, or the layers do not divide into pieces of one width.
        """
        width = self._width(model, sites)
        check_rank(self.rank, width)
        shared: list[Pieces] = []

        def make(layer: nn.Linear, rows: Rows) -> Pieces:
            number = (rows[1] - rows[0]) // width, layer.in_features // width
            piece = Pieces(self, number, width, like(layer), holder=shared[0] if shared else None)
            shared.append(piece)
            return piece

        update_layers(model, sites, self, make, kernels=False)

    def _width(self, model: nn.Module, sites: Sequence[Site]) -> int:
        """d: the smallest side of what is adapted, of which every other one must be a multiple."""
        sides = []
        for path, layer, rows in layers(model, sites, self):
            if isinstance(layer, nn.Linear):  # others are refused by name later
                own = (layer.in_features, *(stop - start for start, stop in whole(layer, rows, self.at)))
                sides += [(side, path) for side in own]
        width = min((side for side, _ in sides), default=self.rank)
        if odd := next(((side, path) for side, path in sides if side % width), None):
            raise BadInput(
                f"FacT shares factors of one width: {odd[1]} has a side of {odd[0]}, no multiple of {width}; "
                "leave its role out of at"
            )
        return width


class Pieces(Part):
    """ΔW of a·d rows and b·d columns, a·b pieces scale·V·Σ_ij·Uᵀ.

    The factors that all share are parameters of the first piece of the network; the others hold it in a tuple, so that
    they stand in the `state_dict` once.

    Args:
        method: rank, form and scale.
        number: (a, b).
        width: d.
        options: device and dtype.
        holder: the piece that has the shared factors; None for the first, which makes them.
    """

    def __init__(
        self, method: FacT, number: tuple[int, int], width: int, options: dict[str, Any], *, holder: Pieces | None
    ) -> None:
        super().__init__()
        rank = method.rank
        self.number, self.scale = number, method.scale
        self.holder = () if holder is None else (holder,)
        if holder is None:
            self.U = nn.Parameter(torch.empty(rank, width, **options))
            self.V = nn.Parameter(torch.zeros(width, rank, **options))
            nn.init.kaiming_uniform_(self.U, a=math.sqrt(5))
            if method.form == "TK":
                self.C = nn.Parameter(torch.empty(rank, rank, rank, **options))
                nn.init.xavier_uniform_(self.C)
        if method.form == "TK":
            self.P = nn.Parameter(torch.empty(*number, rank, **options))
            nn.init.xavier_uniform_(self.P)
        else:
            self.S = nn.Parameter(torch.empty(*number, rank, rank, **options))
            bound = 1 / math.sqrt(number[1] * rank)  # as a Linear from b·rank to a·rank starts
            nn.init.uniform_(self.S, -bound, bound)

    def factors(self) -> tuple[Tensor, Tensor, Tensor]:
        """U (rank, d), V (d, rank) and Σ (a, b, rank, rank)."""
        home = self.holder[0] if self.holder else self
        core = torch.einsum("abp,xyp->abxy", self.P, home.C) if hasattr(self, "P") else self.S
        return home.U, home.V, core

    def delta(self) -> Tensor:
        """(a·d, b·d)."""
        U, V, core = self.factors()
        pieces = self.scale * (V @ core @ U)
        return pieces.transpose(1, 2).flatten(2).flatten(0, 1)

    def forward(self, x: Tensor) -> Tensor:
        """x (…, b·d). Returns (…, a·d), without the matrix."""
        U, V, core = self.factors()
        low = F.linear(x.unflatten(-1, (self.number[1], -1)), U).flatten(-2)
        mixed = F.linear(low, self.scale * core.transpose(1, 2).flatten(2).flatten(0, 1))
        return F.linear(mixed.unflatten(-1, (self.number[0], -1)), V).flatten(-2)
