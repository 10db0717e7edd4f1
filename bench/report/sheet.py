"""A figure with its heading and footnotes, without pyplot, saved as PNG and SVG, the same bytes each time."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.records import write_atomically
from bench.report.style import NOTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DPI = 200
_INCH = 100.0  # pixels an inch while labels are placed


class Sheet:
    """One figure.

    Args:
        width: inches.
        height: inches.
        heading: what it shows.
        subject: of which task and model.
    """

    def __init__(self, width: float, height: float, heading: str, subject: str) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self.width, self.height = width, height
        self.figure: Any = Figure(figsize=(width, height), dpi=_INCH, layout="constrained")
        FigureCanvasAgg(self.figure)
        self.figure.suptitle(heading, x=0.012, ha="left", fontsize=12, fontweight="bold")
        self._subject = subject

    def axes(self) -> Axes:
        """The only axes, titled with the subject."""
        ax: Axes = self.figure.add_subplot()
        ax.set_title(self._subject, fontsize=10, color=NOTE)
        return ax

    def grid(self, rows: int, columns: int) -> list[Axes]:
        """Axes that share their scales, row by row."""
        grid = self.figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        return list(grid.flat)

    def panels(self, rows: int, columns: int, *, below: float) -> tuple[list[Axes], Axes]:
        """Axes of their own scales, row by row, and empty ones for a legend below them all.

        Args:
            rows: of panels.
            columns: of panels.
            below: height of the legend, in panels.
        """
        grid = self.figure.add_gridspec(rows + 1, columns, height_ratios=[*[1.0] * rows, below])
        panels = [self.figure.add_subplot(grid[row, column]) for row in range(rows) for column in range(columns)]
        legend: Axes = self.figure.add_subplot(grid[rows, :])
        legend.set_axis_off()
        return panels, legend

    def finish(self, notes: Sequence[str]) -> None:
        """Write the footnotes and fix the layout: from here on, pixels are final."""
        text = "\n".join(textwrap.wrap(" ".join(note for note in notes if note), int(self.width * 17.3)))
        self.figure.supxlabel(text, x=0.012, ha="left", fontsize=7.5, color=NOTE, linespacing=1.3)
        self.figure.set_layout_engine("constrained")
        self.figure.draw_without_rendering()
        self.figure.set_layout_engine("none")

    def save(self, folder: Path, stem: str) -> list[Path]:
        """Write folder/stem.png and folder/stem.svg.

        Raises:
            BadInput: the folder cannot be written.
        """
        paths = []
        for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None, "Creator": None})):
            buffer = io.BytesIO()
            self.figure.savefig(buffer, format=kind, dpi=_DPI, metadata=metadata)
            paths.append(write_atomically(folder / f"{stem}.{kind}", buffer.getvalue()))
        return paths
