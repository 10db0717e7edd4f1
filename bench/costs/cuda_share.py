"""What CUDA takes beside tensors: cuBLAS's workspaces, rounding, gaps between blocks, context. Each is an estimate."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from bench.costs.allocator import BLOCK, reserved
from bench.costs.memory import Memory, Tracker

WORKSPACE = 8_519_680
"""Bytes of cuBLAS's workspace before Hopper (:4096:2:16:8): one for the forward's thread, one for the backward's."""
CONTEXT = 500 * 2**20
"""Bytes of CUDA's context and of loaded kernels, where nothing else is known; before CUDA 11.7 more than a GiB."""


@dataclass(frozen=True)
class Share:
    """CUDA's own share of what nvidia-smi shows, in bytes.

    Args:
        workspaces: of cuBLAS. cuDNN's, which convolutions have while they run, are not known and in no estimate.
        rounding: of tensors to blocks of 512 bytes, at the peak.
        fragmentation: what the caching allocator keeps and no tensor has at the peak.
        context: of CUDA, with its kernels: a constant that nothing here measures.
    """

    workspaces: int
    rounding: int
    fragmentation: int
    context: int


class Followed(Tracker):
    """A tracker that also notes what is made and freed, in order, and how much of the peak is rounding."""

    def __init__(self, device: str = "cpu") -> None:
        super().__init__(device, block=BLOCK)
        self.events: list[tuple[int, int]] = []
        self.rounding = 0
        self._names: dict[int, tuple[int, int]] = {}
        self._made = self._rounded = self._most = 0

    def make(self, size: int) -> None:
        """Something that no operation makes and nothing frees: a workspace."""
        self._made += 1
        self.events.append((self._made, size))
        self.bytes["other"] += size

    def _count(self, storage: Any, part: str | None) -> None:
        key, known = storage._cdata, len(self.live)
        super()._count(storage, part)
        if len(self.live) > known:
            self._made += 1
            size = self.live[key][1]
            self._names[key] = self._made, size - storage.nbytes()
            self._rounded += size - storage.nbytes()
            self.events.append((self._made, size))

    def _gone(self, key: int, _: Any) -> None:
        name, rounded = self._names.pop(key)
        self._rounded -= rounded
        self.events.append((name, 0))
        super()._gone(key, _)

    def _note(self) -> None:
        super()._note()
        total = sum(self.bytes.values())
        if self.phase and total > self._most:
            self._most, self.rounding = total, self._rounded

    def found(self) -> Memory:
        """As `Tracker` has it, with what CUDA's allocator would have reserved so far, cuBLAS's workspaces first."""
        workspaces = ((-1, WORKSPACE), (-2, WORKSPACE))
        return replace(super().found(), reserved=reserved((*workspaces, *self.events)), rounding=self.rounding)
