"""A cache of its own and local servers for every test of assets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.asset_server import Server, servers


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    if request.node.get_closest_marker("assets") is None:  # those use the real one
        monkeypatch.setenv("LORA_BENCH_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr("bench.assets.cache._asked", {})  # what is asked for here, no later test has
    return tmp_path / "cache"


@pytest.fixture
def server() -> Iterator[Callable[..., Server]]:
    with servers() as start:
        yield start
