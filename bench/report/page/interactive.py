"""The interactive scatter of the page: accuracy against parameters, memory or time, with the Pareto front."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from bench.report import style
from bench.report.data import differences, tradeoffs, wording
from bench.report.data.groups import Group
from bench.report.data.measured import Configuration
from bench.report.figures import axis
from bench.stats import pareto_front

_MARKERS = {
    "o": "circle", "s": "square", "d": "diamond-tall", "D": "diamond", "^": "triangle-up", "v": "triangle-down",
    "<": "triangle-left", ">": "triangle-right", "P": "cross", "X": "x", "p": "pentagon", "h": "hexagon", "*": "star",
}  # fmt: skip


_MENU = {"x": 0, "xanchor": "left", "y": 1.13, "yanchor": "top", "showactive": True}


def scatter(group: Group, *, element: str) -> str:
    """An HTML fragment that needs plotly.js on the page; one button a cost that is known.

    The axis is logarithmic; what costs nothing has a place of its own left of it, marked 0.

    Args:
        group: with configurations.
        element: id of the element, so that the same page has the same bytes.
    """
    import plotly.graph_objects as go

    costs = [cost for cost in tradeoffs.COSTS if cost.priced(group)]
    if not costs:
        return ""
    names = list(dict.fromkeys(c.name for c in group.configurations))
    axes = [_Axis(group, cost) for cost in costs]
    figure = go.Figure()
    for name in names:
        figure.add_trace(_points(group.of(name), axes[0]))
    figure.add_trace(_front(axes[0]))
    figure.update_layout(
        template="plotly_white", height=470, margin={"l": 60, "r": 20, "t": 50, "b": 50}, hovermode="closest",
        xaxis={"type": "log", "title": {"text": axes[0].title}, "exponentformat": "SI", **axes[0].ticks},
        shapes=axes[0].shapes, yaxis={"title": {"text": axis.score_name(group)}},
        updatemenus=[{"buttons": [_button(group, names, one) for one in axes], **_MENU}],
        legend={"title": {"text": "click to hide"}},
    )  # fmt: skip
    return str(figure.to_html(full_html=False, include_plotlyjs=False, div_id=element, config={"displaylogo": False}))


def _button(group: Group, names: Sequence[str], one: _Axis) -> dict[str, Any]:
    """What a click changes: where everything stands, and the axis."""
    points = [*(group.of(name) for name in names), one.front]
    places = {"x": [one.of(each) for each in points], "y": [_ys(each) for each in points]}
    ticks = {f"xaxis.{key}": value for key, value in one.ticks.items()}
    axes = {**ticks, "xaxis.title.text": one.title, "shapes": one.shapes}
    return {"label": f"against {one.cost.label}", "method": "update", "args": [places, axes]}


class _Axis:
    """The cost axis of a group: where its configurations stand, 0 among them."""

    def __init__(self, group: Group, cost: tradeoffs.Cost) -> None:
        known = [value for c in group.configurations if (value := cost.of(c)) is not None]
        least, most = (choose(value for value in known if value) for choose in (min, max))
        self.cost, self.front = cost, _best(group, cost)
        self.zero = 10.0 ** (math.floor(math.log10(least)) - 1) if 0 in known else None
        self.title = f"{cost.label} (log scale{', 0 apart' * (self.zero is not None)})"
        self._decades = [10.0**n for n in range(math.floor(math.log10(least)), math.ceil(math.log10(most)) + 1)]

    def of(self, configurations: Sequence[Configuration]) -> list[float | None]:
        """Where these stand."""
        return [self.zero if (value := self.cost.of(c)) == 0 else value for c in configurations]

    @property
    def ticks(self) -> dict[str, Any]:
        """Plotly's own, unless 0 needs one."""
        if self.zero is None:
            return {"tickmode": "auto", "tickvals": None, "ticktext": None}
        said = ["0", *map(self.cost.unit, self._decades)]
        return {"tickmode": "array", "tickvals": [self.zero, *self._decades], "ticktext": said}

    @property
    def shapes(self) -> list[dict[str, Any]]:
        """A broken line between 0 and the logarithmic part."""
        if self.zero is None:
            return []
        at = self.zero * 10**0.5
        line = {"color": "#999999", "width": 1, "dash": "dot"}
        return [{"type": "line", "xref": "x", "yref": "paper", "x0": at, "x1": at, "y0": 0, "y1": 1, "line": line}]


def _best(group: Group, cost: tradeoffs.Cost) -> list[Configuration]:
    """The Pareto front, from cheap to dear, with what costs nothing."""
    known = [(value, c) for c in group.configurations if (value := cost.of(c)) is not None]
    sign = differences.sign(group.metric)
    on = pareto_front([value for value, _ in known], [sign * c.score.mean for _, c in known])
    kept = [pair for pair, there in zip(known, on, strict=True) if there]
    return [c for _, c in sorted(kept, key=lambda pair: pair[0])]


def _points(configurations: Sequence[Configuration], at: _Axis) -> Any:
    import plotly.graph_objects as go

    look = style.look(configurations[0].name)
    ends = [c.score.interval or (c.score.mean,) * 2 for c in configurations]
    return go.Scatter(
        x=at.of(configurations), y=_ys(configurations), mode="markers", name=look.name,
        marker={"color": look.colour, "symbol": _MARKERS.get(look.marker, "circle"), "size": 11},
        error_y={
            "type": "data", "symmetric": False, "thickness": 1, "width": 0,
            "array": [high - c.score.mean for (_, high), c in zip(ends, configurations, strict=True)],
            "arrayminus": [c.score.mean - low for (low, _), c in zip(ends, configurations, strict=True)],
        },
        hovertemplate="%{text}<extra></extra>", text=[_tooltip(c) for c in configurations],
    )  # fmt: skip


def _front(at: _Axis) -> Any:
    import plotly.graph_objects as go

    line = {"color": "#444444", "width": 1.2, "shape": "hv"}
    xs, ys = at.of(at.front), _ys(at.front)
    return go.Scatter(x=xs, y=ys, mode="lines", name="Pareto front", line=line, hoverinfo="skip")


def _ys(configurations: Sequence[Configuration]) -> list[float]:
    return [c.score.mean for c in configurations]


def _tooltip(c: Configuration) -> str:
    """What is known of a point."""
    interval = f" ({c.score.interval[0]:.3f} to {c.score.interval[1]:.3f})" if c.score.interval else " (one seed)"
    lines = [f"<b>{c.label}</b>", f"score {c.score.mean:.3f}{interval}, {len(c.runs)} seeds"]
    lines.append(f"{c.size} backbone parameters, {c.head:,} of the head")
    lines += (
        [f"{style.size(c.memory)} of training memory ({wording.memory_kind(c.memory_kind)})"] * bool(c.memory)
        if c.memory
        else []
    )
    lines += [f"{style.seconds(c.seconds.mean)} of training"] if c.seconds else []
    lines.append(f"learning rate {c.runs[0]['training'].get('lr')}")
    return "<br>".join(lines)
