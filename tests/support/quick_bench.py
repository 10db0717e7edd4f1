"""`python -m tests.support.quick_bench …` is `bench …` with figures as PNG alone and latencies of few rounds.

For tests of what happens to a real process: what is drawn and measured is tested elsewhere. Workers import this file as
their main module, so that what is set here holds for them too.
"""

from __future__ import annotations

import sys

import bench.costs.time
import bench.report.figures.canvas

COMMAND = [sys.executable, "-m", "tests.support.quick_bench"]
bench.costs.time.MOST = 3
bench.report.figures.canvas.FORMATS = ("png",)
bench.report.figures.canvas._DPI = 60

if __name__ == "__main__":
    from bench.cli import main

    main()
