"""Bytes of a weight that is stored in fewer bits: those of its values, and of the scales that it is unpacked with.

As bitsandbytes stores them (arXiv:2110.02861, arXiv:2305.14314). `bench.models.reduced` has the layers.
"""

from __future__ import annotations

import math

KINDS = ("int8", "nf4", "nf4 double")
"""int8: a scale in float32 a row. nf4: one for each 64 values. nf4 double: that in 8 bits, with one for 256 of them."""


def packed_bytes(kind: str, shape: tuple[int, ...]) -> int:
    """Bytes of a matrix that is packed.

    Args:
        kind: "bf16" or one of `KINDS`.
        shape: of the weight; the first is its rows.
    """
    values, blocks = math.prod(shape), -(-math.prod(shape) // 64)
    match kind:
        case "bf16":
            return 2 * values
        case "int8":
            return values + 4 * shape[0]
        case "nf4":
            return -(-values // 2) + 4 * blocks
    return -(-values // 2) + blocks + 4 * -(-blocks // 256) + 4  # and the mean of the scales
