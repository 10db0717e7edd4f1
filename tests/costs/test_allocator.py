from __future__ import annotations

import random

import pytest

from bench.costs.allocator import CachingAllocator, reserved

MIB = 2**20


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([1], 2 * MIB),  # a small segment
        ([512] * 4096, 2 * MIB),  # exactly full
        ([512] * 4097, 4 * MIB),
        ([MIB, MIB + 512], 22 * MIB),  # one small, one large
        ([9 * MIB, 9 * MIB], 20 * MIB),  # two in one large segment
        ([11 * MIB], 12 * MIB),  # a segment of its own, to 2 MiB
        ([100 * MIB + 1], 102 * MIB),
    ],
)
def test_segments_are_as_torch_makes_them(sizes: list[int], expected: int) -> None:
    assert reserved(enumerate(sizes)) == expected


def test_what_is_freed_is_used_again_and_neighbours_become_one() -> None:
    allocator = CachingAllocator()
    allocator.make(0, 64 * MIB)
    allocator.free(0)
    for name in range(1, 5):
        allocator.make(name, 16 * MIB)  # all within the first
    assert allocator.reserved == 64 * MIB
    allocator.free(2)
    allocator.free(4)
    allocator.make(6, 32 * MIB)  # two holes, neither holds it
    assert allocator.reserved == 96 * MIB
    allocator.free(3)
    allocator.make(7, 48 * MIB)  # 2, 3 and 4 are one now
    assert allocator.reserved == 96 * MIB


def test_reserved_is_never_less_than_what_is_live() -> None:
    dice, live, allocator = random.Random(0), {}, CachingAllocator()
    for name in range(3000):
        size = int(2 ** dice.uniform(4, 27))
        live[name] = size
        allocator.make(name, size)
        while len(live) > 40:
            gone = dice.choice(list(live))
            del live[gone]
            allocator.free(gone)
        assert sum(live.values()) <= allocator.reserved
    for name in list(live):
        allocator.free(name)
    whole = allocator.reserved
    allocator.make(-1, MIB)
    assert allocator.reserved == whole
