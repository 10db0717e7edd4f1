"""`python -m tests.support.quick_bench …` is `bench …` with figures as PNG alone and latencies of few rounds.

For tests of what happens to a real process: what is drawn and measured is tested elsewhere. Workers import this file as
their main module, so that what is set here holds for them too.
"""

from __future__ import annotations

import importlib
import sys

from tests.support.quick import SETTINGS

COMMAND = [sys.executable, "-m", "tests.support.quick_bench"]
for place, value in SETTINGS.items():
    module, _, name = place.rpartition(".")
    setattr(importlib.import_module(module), name, value)

if __name__ == "__main__":
    from bench.cli import main

    main()
