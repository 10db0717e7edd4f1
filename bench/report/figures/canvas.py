"""A figure with its heading and footnotes, without pyplot, saved as PNG, SVG and PDF, the same bytes each time."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.records import write_atomically
from bench.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS = ("png", "svg", "pdf")
_DPI = 200
_DPI_PHOTOGRAPHS = 110  # they take far more bytes than lines do
_EDGE = 0.005  # of the width, left blank at both sides
_INCH = 100.0  # pixels an inch while labels are placed


class Canvas:
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
        if not style.in_column():
            heading = "\n".join(textwrap.wrap(heading, int(width * 10.2)))
            self.figure.suptitle(heading, x=0.012, ha="left", fontsize=12, fontweight="bold")
        self._subject = subject

    def axes(self) -> Axes:
        """The only axes, titled with the subject."""
        ax: Axes = self.figure.add_subplot()
        ax.set_title(self._subject, fontsize=style.pt(10), color=style.NOTE)
        return ax

    def grid(self, rows: int, columns: int, *, alike: bool = True) -> list[Axes]:
        """Axes that share their scales, row by row.

        Args:
            rows: of panels.
            columns: of panels.
            alike: whether all share the y axis, or only those of one row.
        """
        grid = self.figure.subplots(rows, columns, sharex=True, sharey=True if alike else "row", squeeze=False)
        return list(grid.flat)

    def panels(self, rows: int, columns: int, *, below: float, widths: Sequence[float] = ()) -> tuple[list[Axes], Axes]:
        """Axes of their own scales, row by row, and empty ones for a legend below them all.

        Args:
            rows: of panels.
            columns: of panels.
            below: height of the legend, in panels.
            widths: of the columns, in proportion; alike without.
        """
        grid = self.figure.add_gridspec(
            rows + 1, columns, height_ratios=[*[1.0] * rows, below], width_ratios=list(widths) or None
        )
        panels = [self.figure.add_subplot(grid[row, column]) for row in range(rows) for column in range(columns)]
        legend: Axes = self.figure.add_subplot(grid[rows, :])
        legend.set_axis_off()
        return panels, legend

    def finish(self, notes: Sequence[str]) -> None:
        """Write the footnotes and fix the layout: from here on, pixels are final."""
        if not style.in_column():
            text = "\n".join(textwrap.wrap(" ".join(note for note in notes if note), int(self.width * 17.3)))
            self.figure.supxlabel(text, x=0.012, ha="left", fontsize=7.5, color=style.NOTE, linespacing=1.3)
        self.figure.set_layout_engine("constrained", rect=(_EDGE, 0.0, 1.0 - 2 * _EDGE, 1.0))
        self.figure.get_layout_engine().execute(self.figure)
        self.figure.set_layout_engine("none")
        for ax in self.figure.axes:  # the solver's last bits differ from run to run, and an SVG's ids hold them
            ax.set_position(np.round(ax.get_position(original=True).bounds, 9))
            ax.set_in_layout(True)

    def save(self, folder: Path, stem: str, *, formats: Sequence[str] | None = None) -> tuple[Path, ...]:
        """Write folder/stem.png, folder/stem.svg and folder/stem.pdf, or some of them, without dates.

        Raises:
            BadInput: the folder cannot be written.
        """
        without: dict[str, dict[str, None]] = {
            "png": {"Software": None},
            "svg": {"Date": None, "Creator": None},
            "pdf": {"CreationDate": None, "Creator": None},
        }
        drawn = ((kind, self._drawn(kind, dpi=_DPI, metadata=without[kind])) for kind in formats or FORMATS)
        return tuple(write_atomically(folder / f"{stem}.{kind}", content) for kind, content in drawn)

    def save_photographs(self, folder: Path, stem: str, *, exact: Sequence[str]) -> tuple[Path, ...]:
        """Write folder/stem.png with 256 colours; no SVG, which would hold the pictures of every panel whole.

        Args:
            folder: where to.
            stem: the file's name.
            exact: colours of lines and text, which too few pixels have to be among the 256 by themselves.

        Raises:
            BadInput: the folder cannot be written.
        """
        from PIL import Image

        picture = Image.open(io.BytesIO(self._drawn("png", dpi=_DPI_PHOTOGRAPHS))).convert("RGB")
        wide, high = picture.size
        strip = high // 25  # of each colour, below the picture while the 256 are chosen
        whole = Image.new("RGB", (wide, high + strip * len(exact)))
        whole.paste(picture)
        for number, colour in enumerate(exact):
            whole.paste(colour, (0, high + strip * number, wide, high + strip * (number + 1)))
        buffer = io.BytesIO()
        colours = whole.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        colours.crop((0, 0, wide, high)).save(buffer, "png", optimize=True)
        return (write_atomically(folder / f"{stem}.png", buffer.getvalue()),)

    def _drawn(self, kind: str, *, dpi: int, metadata: Mapping[str, None] | None = None) -> bytes:
        """The figure's bytes. `savefig` would draw everything once more beforehand, to see how large it is."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.backends.backend_pdf import FigureCanvasPdf
        from matplotlib.backends.backend_svg import FigureCanvasSVG

        canvas: Any = {"png": FigureCanvasAgg, "svg": FigureCanvasSVG, "pdf": FigureCanvasPdf}[kind](self.figure)
        buffer = io.BytesIO()
        self.figure.dpi = dpi
        getattr(canvas, f"print_{kind}")(buffer, metadata=metadata or {})
        return buffer.getvalue()
