"""Names and texts that MLflow takes, made of any: every name of a parameter, metric or tag goes through `allowed`."""

from __future__ import annotations

import hashlib
import posixpath
import re

from bench.errors import scrubbed

LENGTH = 250
"""MLflow's longest name of a parameter, metric, tag or run."""
_OTHERS = re.compile(r"[^\w.\-/ ]+")


def allowed(name: str) -> str:
    """`name`, if MLflow takes it; else one like it with a hash of the whole, so that no two names become one.

    MLflow takes letters, digits, "_", "-", ".", " " and "/", up to 250 of them, if the name is also a relative path in
    its shortest form.

    Returns:
        "test/top1" of "test/top1", "map_50-c0ffee" of "map@50".
    """
    if name and len(name) <= LENGTH and not _OTHERS.search(name) and not _is_other_path(name):
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:6]
    parts = [part.strip() for part in _OTHERS.sub("_", name).split("/")]
    readable = "/".join(part for part in parts if part.strip("."))
    return f"{readable[: LENGTH - 7] or 'unnamed'}-{digest}"


def text(value: object) -> str:
    """A value as MLflow shows it: ["q", "v"] as "q v", as in the table; without secrets and what no database takes."""
    shown = " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return scrubbed(shown.replace("\0", "")).encode("utf-8", "replace").decode()


def _is_other_path(name: str) -> bool:
    shortest = posixpath.normpath(name)
    return shortest != name or shortest.startswith(("..", "/")) or shortest == "."
