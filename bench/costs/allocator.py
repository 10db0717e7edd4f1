"""What CUDA's caching allocator keeps reserved, replayed from what is made and freed. No torch.

torch/c10/cuda/CUDACachingAllocator.cpp with its default settings: blocks of 512 bytes up; small ones (up to 1 MiB) from
segments of 2 MiB, larger ones from segments of 20 MiB, and from 10 MiB on from segments of their own size rounded to
2 MiB. A request takes the smallest free block that holds it and gives back what is left of it; neighbours that are free
become one. A segment is never given back here, as it is not until memory runs out.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from dataclasses import dataclass, field

BLOCK = 512
"""Bytes to whose multiple every block is rounded up."""
SMALL, SMALL_SEGMENT = 2**20, 2 * 2**20
LARGE, LARGE_SEGMENT, ROUND = 10 * 2**20, 20 * 2**20, 2 * 2**20


@dataclass(eq=False)
class _Block:
    segment: int
    start: int
    size: int
    free: bool = True
    before: _Block | None = field(default=None, repr=False)
    after: _Block | None = field(default=None, repr=False)

    @property
    def key(self) -> tuple[int, int, int]:
        return self.size, self.segment, self.start


class CachingAllocator:
    """Blocks and segments. `reserved` is what the device has given, which only grows."""

    def __init__(self) -> None:
        self.reserved = 0
        self._segments = 0
        self._free: dict[bool, list[tuple[tuple[int, int, int], _Block]]] = {True: [], False: []}
        self._held: dict[int, _Block] = {}

    def make(self, name: int, size: int) -> None:
        """Something of `size` bytes is made; `name` says what frees it."""
        if size <= 0:
            return
        size = -(-size // BLOCK) * BLOCK
        small = size <= SMALL
        block = self._found(size, small=small) or self._segment(size, small=small)
        block.free = False
        rest = block.size - size
        if rest >= BLOCK if small else rest > SMALL:
            left = _Block(block.segment, block.start + size, rest, before=block, after=block.after)
            if block.after is not None:
                block.after.before = left
            block.after, block.size = left, size
            self._put(left, small=small)
        self._held[name] = block

    def free(self, name: int) -> None:
        """What was made under this name is freed."""
        block = self._held.pop(name, None)
        if block is None:
            return
        small = self._small(block)
        block.free = True
        for other in (block.before, block.after):
            if other is not None and other.free:
                self._take(other, small=small)
        if block.before is not None and block.before.free:
            block = _join(block.before, block)
        if block.after is not None and block.after.free:
            block = _join(block, block.after)
        self._put(block, small=small)

    def _found(self, size: int, *, small: bool) -> _Block | None:
        pool = self._free[small]
        at = bisect_left(pool, (size, -1, -1), key=lambda each: each[0])
        return pool.pop(at)[1] if at < len(pool) else None

    def _segment(self, size: int, *, small: bool) -> _Block:
        given = SMALL_SEGMENT if small else LARGE_SEGMENT if size < LARGE else -(-size // ROUND) * ROUND
        self.reserved += given
        self._segments += 1
        return _Block(2 * self._segments + small, 0, given)

    @staticmethod
    def _small(block: _Block) -> bool:
        return bool(block.segment % 2)

    def _put(self, block: _Block, *, small: bool) -> None:
        insort(self._free[small], (block.key, block), key=lambda each: each[0])

    def _take(self, block: _Block, *, small: bool) -> None:
        pool = self._free[small]
        pool.pop(bisect_left(pool, block.key, key=lambda each: each[0]))


def _join(first: _Block, second: _Block) -> _Block:
    first.size += second.size
    first.after = second.after
    if second.after is not None:
        second.after.before = first
    first.free = True
    return first


def reserved(events: Iterable[tuple[int, int]]) -> int:
    """Bytes reserved at the end, and so at the most.

    Args:
        events: (name, bytes) in order: made with its bytes, freed with 0.
    """
    allocator = CachingAllocator()
    for name, size in events:
        if size:
            allocator.make(name, size)
        else:
            allocator.free(name)
    return allocator.reserved
