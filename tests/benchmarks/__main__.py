"""`make bench`: every benchmark, or those named: `python -m tests.benchmarks lora_step probe`."""

from __future__ import annotations

import importlib
import sys

import torch

from bench.errors import unknown
from bench.execution import console
from bench.training.device import environment

NAMES = ("lora_step", "lora_plus", "probe", "sweep", "overhead", "coverage", "recommendation", "workers", "exports")


def main() -> None:
    """Runs and prints."""
    here = environment("cpu")
    print(
        f"{here['device_name']}, {here['threads']} threads, torch {torch.__version__}; idle machine assumed\n",
        flush=True,
    )
    for name in sys.argv[1:] or NAMES:
        if name not in NAMES:
            raise SystemExit(str(unknown("benchmark", name, NAMES)))
        module = importlib.import_module(f"tests.benchmarks.{name}")
        console.table((name, "time", "ratio"), module.run(), right=1)
        print(flush=True)


if __name__ == "__main__":
    main()
