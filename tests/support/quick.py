"""What makes tests quick where it is not what they test: figures as coarse PNG alone, latencies of few rounds."""

from __future__ import annotations

from typing import Any

SETTINGS: dict[str, Any] = {
    "bench.report.figures.canvas.FORMATS": ("png",),
    "bench.report.figures.canvas._DPI": 60,
    "bench.costs.time.MOST": 3,
}
"""By the whole name of what is set."""
