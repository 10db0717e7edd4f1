"""A figure on disk, as pages show it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.report import style
from bench.report.data.groups import Group


@dataclass(frozen=True)
class Drawn:
    """A figure on disk.

    Args:
        name: of its kind.
        caption: what it shows.
        group: of which group; None for the overview of all.
        files: the PNG, then the SVG and the PDF where there are any.
        beside: groups that the figure of a study of costs shows side by side.
        column: the PDF for one column of a paper, if any.
    """

    name: str
    caption: str
    group: Group | None
    files: tuple[Path, ...]
    beside: tuple[Group, ...] = ()
    column: Path | None = None

    @property
    def written(self) -> tuple[Path, ...]:
        """All of its files."""
        return (*self.files, *([self.column] if self.column else []))

    @property
    def title(self) -> str:
        """The name in words, with the score that the figure really shows."""
        words = self.name.replace("_", " ")
        score = style.metric_name(self.group.metric) if self.group else "accuracy"
        return words if "accuracy" in score else words.replace("accuracy", score)
