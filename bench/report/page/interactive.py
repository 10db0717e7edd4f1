"""The interactive scatter of the page: accuracy against parameters, memory or time, with the Pareto front."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.report import style
from bench.report.data import tradeoffs
from bench.report.data.groups import Group
from bench.report.data.measured import Configuration
from bench.report.figures import axis

_MARKERS = {
    "o": "circle", "s": "square", "d": "diamond-tall", "D": "diamond", "^": "triangle-up", "v": "triangle-down",
    "<": "triangle-left", ">": "triangle-right", "P": "cross", "X": "x", "p": "pentagon", "h": "hexagon", "*": "star",
}  # fmt: skip


def scatter(group: Group, *, element: str) -> str:
    """An HTML fragment that needs plotly.js on the page; one button a cost that is known.

    Args:
        group: with configurations.
        element: id of the element, so that the same page has the same bytes.
    """
    import plotly.graph_objects as go

    costs = [cost for cost in tradeoffs.COSTS if cost.priced(group)]
    if not costs:
        return ""
    names = list(dict.fromkeys(c.name for c in group.configurations))
    figure = go.Figure()
    for name in names:
        figure.add_trace(_points(group.of(name), costs[0]))
    figure.add_trace(_front(group, costs[0]))
    buttons = [
        {
            "label": f"against {cost.label}", "method": "update",
            "args": [
                {"x": [*(_xs(group.of(name), cost) for name in names), _line(group, cost)[0]],
                 "y": [*(_ys(group.of(name)) for name in names), _line(group, cost)[1]]},
                {"xaxis.title.text": f"{cost.label} (log scale)"},
            ],
        }
        for cost in costs
    ]  # fmt: skip
    figure.update_layout(
        template="plotly_white", height=470, margin={"l": 60, "r": 20, "t": 50, "b": 50}, hovermode="closest",
        xaxis={"type": "log", "title": {"text": f"{costs[0].label} (log scale)"}, "exponentformat": "SI"},
        yaxis={"title": {"text": axis.score_name(group)}},
        updatemenus=[{"buttons": buttons, "x": 0, "xanchor": "left", "y": 1.13, "yanchor": "top", "showactive": True}],
        legend={"title": {"text": "click to hide"}},
    )  # fmt: skip
    return str(figure.to_html(full_html=False, include_plotlyjs=False, div_id=element, config={"displaylogo": False}))


def _points(configurations: Sequence[Configuration], cost: tradeoffs.Cost) -> Any:
    import plotly.graph_objects as go

    look = style.look(configurations[0].name)
    ends = [c.score.interval or (c.score.mean,) * 2 for c in configurations]
    return go.Scatter(
        x=_xs(configurations, cost), y=_ys(configurations), mode="markers", name=look.name,
        marker={"color": look.colour, "symbol": _MARKERS.get(look.marker, "circle"), "size": 11},
        error_y={
            "type": "data", "symmetric": False, "thickness": 1, "width": 0,
            "array": [high - c.score.mean for (_, high), c in zip(ends, configurations, strict=True)],
            "arrayminus": [c.score.mean - low for (low, _), c in zip(ends, configurations, strict=True)],
        },
        hovertemplate="%{text}<extra></extra>", text=[_tooltip(c) for c in configurations],
    )  # fmt: skip


def _front(group: Group, cost: tradeoffs.Cost) -> Any:
    import plotly.graph_objects as go

    xs, ys = _line(group, cost)
    line = {"color": "#444444", "width": 1.2, "shape": "hv"}
    return go.Scatter(x=xs, y=ys, mode="lines", name="Pareto front", line=line, hoverinfo="skip")


def _line(group: Group, cost: tradeoffs.Cost) -> tuple[list[float | None], list[float]]:
    best = tradeoffs.front(group, cost)
    return _xs(best, cost), _ys(best)


def _xs(configurations: Sequence[Configuration], cost: tradeoffs.Cost) -> list[float | None]:
    return [cost.of(c) for c in configurations]


def _ys(configurations: Sequence[Configuration]) -> list[float]:
    return [c.score.mean for c in configurations]


def _tooltip(c: Configuration) -> str:
    """What is known of a point."""
    interval = f" ({c.score.interval[0]:.3f} to {c.score.interval[1]:.3f})" if c.score.interval else " (one seed)"
    lines = [f"<b>{c.label}</b>", f"score {c.score.mean:.3f}{interval}, {len(c.runs)} seeds"]
    lines.append(f"{c.backbone:,} backbone parameters, {c.head:,} of the head")
    lines += [f"{style.size(c.memory)} of training memory ({c.memory_kind})"] * bool(c.memory) if c.memory else []
    lines += [f"{style.seconds(c.seconds.mean)} of training"] if c.seconds else []
    lines.append(f"learning rate {c.runs[0]['training'].get('lr')}")
    return "<br>".join(lines)
