"""What is said of an asset that cannot be had, and what to do about it."""

from __future__ import annotations

from bench.assets.asset import Asset
from bench.errors import BadInput


def remedy(asset: Asset) -> str:
    """What to do about an asset that is not here."""
    return f"with a network, run: bench assets pull {asset.name}"


def refused(asset: Asset, why: str) -> BadInput:
    """The error for an archive that is not what was pinned; the caller has removed it, or will."""
    again = f"to try again, run: bench assets pull {asset.name}"
    return BadInput(f"asset {asset.name!r}: {asset.package} {why}: refused and removed; {again}")
