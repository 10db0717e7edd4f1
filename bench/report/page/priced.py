"""What each method of a task costs beside its score: memory, a step, the checkpoint, the latency of one sample."""

from __future__ import annotations

from collections.abc import Iterator

from bench.report import style
from bench.report.data import differences
from bench.report.data.groups import Group
from bench.report.data.measured import Configuration
from bench.report.data.recommended import latencies, milliseconds, stored
from bench.report.tables.markdown import table


def priced_section(group: Group) -> Iterator[str]:
    """Blocks of Markdown, the best mean first; none where no latency was measured or nothing is compared."""
    known = latencies(group.configurations)
    if not known or len(group.configurations) < 2:
        return
    best = differences.best(group)
    sign = -1.0 if group.metric in style.LOWER_IS_BETTER else 1.0
    ordered = sorted(group.configurations, key=lambda c: -sign * c.score.mean)
    yield "### Score against costs"
    rows = [(str(place), *_row(c, best, known.get(c.label))) for place, c in enumerate(ordered, 1)]
    score = f"{style.metric_name(group.metric)} (test)"
    yield table(
        ("", "method", score, "against the best", "backbone parameters", "peak memory", "training step",
         "to store, head included", "latency of one sample"), rows,
    )  # fmt: skip
    yield (
        "A training step: the least of the median steps of all seeds. Latency: merged where the method can be, as a "
        "multiple of the untouched network's, measured beside it, of which the least stands for all. Where other work "
        "ran beside, as the page's first lines say, a fifth more or less is noise."
    )


def _row(c: Configuration, best: Configuration, latency: float | None) -> tuple[str, ...]:
    size = stored(c)
    return (
        c.label,
        f"{c.score.mean:.3f}",
        _against(c, best),
        c.size,
        style.size(c.memory) if c.memory else "",
        _step(c),
        "" if size is None else style.size(size),
        "" if latency is None else milliseconds(latency),
    )


def _against(of: Configuration, best: Configuration) -> str:
    return "best mean" if of is best else differences.verdict(differences.difference(of, best))


def _step(of: Configuration) -> str:
    """The least of what seeds took: other work on the machine only adds to it."""
    taken = [float(run["step"]["seconds"]) for run in of.runs if (run.get("step") or {}).get("seconds")]
    return f"{1000 * min(taken):.0f} ms" if taken else ""
