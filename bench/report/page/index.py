"""All studies at once: README.md with a row a study, and index.html, in which configurations are filtered."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from bench.records import Records, write_atomically
from bench.report import style
from bench.report.data.chance import chance
from bench.report.data.groups import Group, current, groups, methods, scored
from bench.report.data.measured import Configuration
from bench.report.data.names import titles
from bench.report.page.answer import in_brief, of_costs
from bench.report.page.content import NOTHING
from bench.report.page.study_page import asked
from bench.report.tables.markdown import cell, table

_MAIN = (
    "old_task_by_rate", "learning_vs_forgetting", "accuracy_vs_severity", "accuracy_vs_samples", "placements",
    "overview", "accuracy_vs_parameters", "memory_breakdown", "learning_rate",
)  # fmt: skip
"""Figures that show what a study is about, the most telling first."""
ABOUT = (
    "Every study: its question, its answer, its main figure. The answer holds for the scale, the models and the few "
    "seeds that the page tells; read its warnings first.\n\n"
    "Made from the records by `make figures`, which also writes `index.html` beside this page: all configurations of "
    "all studies in one offline page, to be filtered by task, model, method and budget."
)


@dataclass(frozen=True)
class Entry:
    """What the index says of one study at one scale.

    Args:
        study, scale: their names.
        question, answer: a sentence; of several tasks one each.
        figure: the main figure's path, from the results folder on; "" where nothing is drawn.
        panels: for index.html, one a task, model and device, with its configurations.
    """

    study: str
    scale: str
    question: str
    answer: tuple[str, ...]
    figure: str
    panels: tuple[dict[str, Any], ...] = field(default=())

    @property
    def folder(self) -> str:
        """From the results folder on."""
        return f"{self.study}/{self.scale}"


def entry(folder: Path) -> Entry:
    """Reads what the index says of a study, once its page is drawn.

    Args:
        folder: results/<study>/<scale>.
    """
    parts = current(groups(Records(folder).all()))
    shown = scored(parts)
    study, scale = folder.parent.name, folder.name
    with style.looks(methods(parts)):
        said = in_brief(shown) if shown else [of_costs([g for g in parts if g.costs and g.configurations]) or NOTHING]
        panels = [_panel(group, name, study, scale) for group, name in zip(shown, titles(shown), strict=True)]
    return Entry(study, scale, asked(folder / "README.md"), tuple(said), _figure(folder), tuple(panels))


def _figure(folder: Path) -> str:
    """The figure that is named like the study, or else the most telling one."""
    names = sorted((path.name for path in (folder / "figures").glob("*.png")), key=lambda name: (len(name), name))
    own = folder.parent.name.replace("-", "_")
    for wanted in (own, *_MAIN):
        if found := next((name for name in names if wanted in name), None):
            return f"{folder.parent.name}/{folder.name}/figures/{found}"
    return ""


def _panel(group: Group, name: str, study: str, scale: str) -> dict[str, Any]:
    lines = [{"label": baseline.label, "score": round(baseline.score.mean, 4)} for baseline in group.baselines]
    share = chance(group)
    lines += [{"label": "chance", "score": round(share, 4)}] if share is not None else []
    return {
        "study": study, "scale": scale, "page": f"{study}/{scale}/report.html", "name": name, "task": group.task,
        "model": group.model, "device": group.device, "metric": style.metric_name(group.metric),
        "lower": group.metric in style.LOWER_IS_BETTER, "lines": lines,
        "points": [_point(c) for c in group.configurations],
    }  # fmt: skip


def _point(c: Configuration) -> dict[str, Any]:
    look = style.look(c.name)
    low, high = c.score.interval or (None, None)
    return {
        "method": look.name, "colour": look.colour, "marker": look.marker, "label": c.label,
        "score": round(c.score.mean, 4), "low": low and round(low, 4), "high": high and round(high, 4),
        "seeds": len(c.runs), "parameters": c.backbone,
        "memory": round(c.memory / 2**20, 1) if c.memory else None,
        "seconds": round(c.seconds.mean, 2) if c.seconds else None,
    }  # fmt: skip


def write_index(results: Path, entries: Sequence[Entry]) -> list[Path]:
    """Write README.md and index.html over all studies.

    Args:
        results: the folder of the studies.
        entries: of each study and scale.

    Raises:
        BadInput: the folder cannot be written.
    """
    ordered = sorted(entries, key=lambda one: (one.scale != "laptop", one.study, one.scale))
    page = f"# Results\n\n{ABOUT}\n\n{_table(ordered)}\n"
    return [
        write_atomically(results / "README.md", page),
        write_atomically(results / "index.html", _html(ordered)),
    ]


def _table(entries: Iterable[Entry]) -> str:
    rows = [
        (
            f"[{one.study}]({one.folder}/README.md)<br>{one.scale}",
            one.question.replace("|", "\\|"),
            "<br>".join(sentence.replace("|", "\\|") for sentence in one.answer),
            f'<a href="{one.folder}/README.md"><img src="{one.figure}" alt="{cell(one.study)}" width="420"></a>'
            if one.figure
            else "",
        )
        for one in entries
    ]
    return table(("study", "question", "answer", "main figure"), rows)


def _html(entries: Sequence[Entry]) -> str:
    from jinja2 import Environment

    text = (files("bench.report.page") / "index.html.jinja").read_text("utf-8")
    panels = [panel for one in entries for panel in one.panels]
    return Environment(autoescape=True).from_string(text).render(entries=entries, panels=panels)
