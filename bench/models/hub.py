"""The Hugging Face hub, and files that are fetched under names that hold their hash: checked when they are loaded."""

from __future__ import annotations

import hashlib
import os
import re
import socket
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from bench import assets
from bench.assets.remembered import digests
from bench.errors import BadInput

HASH_IN_NAME = re.compile(r"-([0-9a-f]{8,64})\.")
"""As torch.hub has it: "resnet50-0676ba61.pth" begins with the file's sha256."""


def go_offline_if_need_be() -> bool:
    """Without an answer from the hub its library retries for a minute; it then looks into its cache at once instead.

    LORA_BENCH_OFFLINE means the hub too.

    Returns:
        Whether only the cache is asked.
    """
    from huggingface_hub import constants

    proxied = any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"))
    if assets.offline():
        constants.HF_HUB_OFFLINE = True
    elif not constants.HF_HUB_OFFLINE and not proxied:
        address = urlsplit(constants.ENDPOINT)
        try:
            port = address.port or (443 if address.scheme == "https" else 80)
            socket.create_connection((address.hostname or "", port), timeout=5).close()
        except OSError:
            constants.HF_HUB_OFFLINE = True
    return bool(constants.HF_HUB_OFFLINE)


def cached_on_hub(repository: str, file: str, revision: str = "") -> Path | None:
    """A file of a repository in the hub's cache; None where it is not there."""
    from huggingface_hub import try_to_load_from_cache

    try:
        found = try_to_load_from_cache(repository, file, revision=revision or None)
    except ValueError:  # no name that a repository could have
        return None
    return Path(found) if isinstance(found, str) else None


def check_unchanged(files: Iterable[Path]) -> None:
    """Refuses fetched files that are not what their names say; where the name says nothing, nothing is known.

    In the hub's cache a file is a link to a blob, whose name is the sha256 of a large file and git's sha1 of a small
    one. torch.hub's files have the beginning of their sha256 in their own name.

    Raises:
        BadInput: one has changed since it was fetched.
    """
    for file in files:
        blob = Path(os.path.realpath(file))
        known = blob.name if blob.parent.name == "blobs" else ""
        if re.fullmatch("[0-9a-f]{40}", known):
            found = git_sha1(blob)
        elif re.fullmatch("[0-9a-f]{64}", known):
            (found,) = digests([blob])
        elif not known and (named := HASH_IN_NAME.search(file.name)):
            known, (found,) = named[1], digests([blob])
        else:
            continue
        if not found.startswith(known):
            raise BadInput(
                f"{file} has changed since it was fetched (its hash is {found[:12]}…, not {known[:12]}…): "
                f"delete {blob}, and it is fetched again"
            )


def git_sha1(file: Path) -> str:
    """What git calls a file of these bytes."""
    raw = file.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(raw) + raw, usedforsecurity=False).hexdigest()
