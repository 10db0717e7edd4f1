"""What is trained: parameters of the backbone and of the head, apart, with the exact numbers."""

from __future__ import annotations

from bench.report import style
from bench.report.data import wording
from bench.report.data.groups import Group
from bench.report.figures.canvas import Canvas


def parameter_bars(group: Group) -> Canvas:
    """Two bars a configuration on a log axis; 0 has no bar and says so."""
    configurations = group.configurations
    heading = "Trainable parameters of backbone and head"
    canvas = Canvas(8.4, 0.38 * len(configurations) + 2.1, heading, group.title)
    ax = canvas.axes()
    largest = max(max(c.backbone, c.head) for c in configurations)
    smallest = min([number for c in configurations for number in (c.backbone, c.head) if number] or [10])
    start = 10.0 ** int(f"{smallest / 3:e}".split("e")[1])
    ax.set_xscale("log")
    ax.set_xlim(start, largest * 7)
    for row, configuration in enumerate(configurations):
        look = style.look(configuration.name)
        backbone = (-0.2, configuration.backbone, look.colour, None)
        for offset, number, colour, hatch in (backbone, (0.2, configuration.head, style.HEAD, "////")):
            ax.barh(
                row + offset, max(number - start, 0), height=0.36, left=start, color=colour, hatch=hatch,
                edgecolor="white", linewidth=0.5, zorder=2,
            )  # fmt: skip
            ax.annotate(
                configuration.size if offset < 0 else f"{number:,}", (max(number, start), row + offset),
                xytext=(4, 0), textcoords="offset points",
                va="center_baseline", fontsize=8, color="#222222" if offset < 0 else style.NOTE,
            )  # fmt: skip
    ax.set_yticks(range(len(configurations)), [configuration.label for configuration in configurations])
    ax.set_ylim(len(configurations) - 0.4, -0.6)
    ax.grid(visible=False, axis="y")
    ax.tick_params(axis="y", length=0)
    ax.xaxis.set_major_formatter(lambda value, _: style.count(value))
    ax.set_xlabel("trainable parameters (log scale)")
    removing = any(c.start != c.backbone for c in configurations)
    notes = ["Upper bar, in the method's colour: backbone. Lower, hatched: head, trained by every method."]
    notes += ["A method that removes parameters while it trains is shown with those left at the end."] * removing
    canvas.finish([*notes, wording.tuning(group)])
    return canvas
