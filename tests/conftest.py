"""What all tests share: a thread a worker, no GPU tests without a GPU, real assets where there is network."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from bench.records import Records
from tests.support.quick import SETTINGS

# Whoever changes something looks for new cases at every run; what decides on landing tries the same ones each time.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")

# Several workers with a thread for every core each would wait for one another; read when torch is imported.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "agg")
# By default a twelfth of the suite is spent in looking for garbage among a million objects of libraries.
gc.set_threshold(50_000, 20, 100)
# A test must not log to the server, nor into the database, of the person who runs it.
os.environ.pop("MLFLOW_TRACKING_URI", None)


ALONE = 200
"""Tests from which on somebody has asked for the suite; of fewer, those marked `long` run too."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip tests marked `gpu` where there is none; torch is imported only if such a test was chosen.

    Those marked `cluster` take minutes, and run only where they are named: `-m cluster`. So do those marked `long`,
    which a few files or tests by name run too.
    """
    named = config.getoption("-m")
    left = {name for name in ("cluster", "long") if name not in named} - ({"long"} if len(items) < ALONE else set())
    for item in items:
        for name in (name for name in sorted(left) if item.get_closest_marker(name)):
            item.add_marker(pytest.mark.skip(reason=f"takes minutes: make test-{name}"))
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked:
        return
    import torch

    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture(scope="session")
def asset() -> Callable[[str], Path]:
    """Fetches a real asset into the user's cache and returns its folder, or skips the test when offline.

    For tests marked `assets`: `def test_weights(asset): folder = asset("dinov2-s14")`.
    """
    from bench.assets import fetch
    from bench.errors import BadInput

    def get(name: str) -> Path:
        try:
            return fetch(name, progress=False)
        except BadInput as error:
            if "with a network" not in str(error):
                raise  # a hash that does not match is a failure, not a missing network
            pytest.skip(f"asset {name} is not to be had here: {error}")

    return get


@pytest.fixture(autouse=True, scope="session")
def few_formats_and_rounds() -> Iterator[None]:
    """Figures as coarse PNG alone, latencies of few rounds: a test of other formats or of more rounds asks for them."""
    with pytest.MonkeyPatch.context() as patch:
        for place, value in SETTINGS.items():
            patch.setattr(place, value)
        # A test that patches what an estimate depends on must find, and leave, nothing on the disk.
        patch.setenv("LORA_BENCH_FORECASTS", "off")
        yield


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Small layers on several threads wait for one another where other tests take the cores."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache that the tests of a worker share, and no person's."""
    monkeypatch.setenv("LORA_BENCH_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture
def records(tmp_path: Path) -> Records:
    """An empty folder for the records of a tiny study."""
    found = Records(tmp_path / "tiny" / "smoke")
    found.prepare()
    return found
