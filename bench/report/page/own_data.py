"""The page of one's own data: the recommendation first, then what to do, what is confused, wrong and trusted."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.records import Records, write_atomically
from bench.records.outcomes import Outcomes
from bench.report import style
from bench.report.data import own_data
from bench.report.data.advice import advice, score
from bench.report.data.groups import groups, methods, scored
from bench.report.data.own_data import ClassScore, Missed, Mistake, Point, Reliability
from bench.report.data.recommended import Limits, Recommendation, milliseconds, recommend
from bench.report.figures import own_data as figures
from bench.report.page.next_steps import next_steps
from bench.report.page.own_html import write_own_html
from bench.report.tables.markdown import cell, table
from bench.report.tables.recommended import frame

if TYPE_CHECKING:
    from bench.report.figures.canvas import Canvas

ABOUT, FEWER = "own_data.json", "data"
"""What is kept of the data beside the records, and the folder with the records on fewer of them."""
SHOWN = 24
"""Mistakes on the page."""
CLASSES = 40
"""Rows of classes; of more, those that are found least."""


@dataclass(frozen=True)
class OwnData:
    """All that the page says.

    Args:
        folder: results/<study>.
        scale: which of its folders has the comparison.
        about: `ABOUT`'s content: "path", "classes", "summary", "samples", "metric", "limits", "budget", "said".
        found: the recommendation.
        outcomes: of the recommended configuration's test samples, a seed each.
        classes: scores of every class.
        mistakes, missed: what is wrong, of classes and of boxes.
        reliability: None where it is not known.
        curve: the score by the size of the training part.
    """

    folder: Path
    scale: str
    about: Mapping[str, Any]
    found: Recommendation
    outcomes: tuple[Outcomes, ...] = ()
    classes: tuple[ClassScore, ...] = ()
    mistakes: tuple[Mistake, ...] = ()
    missed: tuple[Missed, ...] = ()
    reliability: Reliability | None = None
    curve: tuple[Point, ...] = field(default=())

    @property
    def boxes(self) -> bool:
        """Whether it is of boxes."""
        return bool(self.outcomes) and self.outcomes[0].kind == "boxes"


def gathered(folder: Path, scale: str, about: Mapping[str, Any]) -> OwnData:
    """What the records say.

    Args:
        folder: results/<study>.
        scale: which of its folders.
        about: the data.

    Raises:
        BadInput: no run of the comparison ended well, or nothing is within the limits.
    """
    from bench.errors import BadInput

    parts = scored(groups(Records(folder / scale).all()))
    if not parts:
        raise BadInput(f"no final run in {folder / scale} ended well: its page says why")
    group = parts[0]
    found = recommend(group, metric=str(about.get("metric") or ""), limits=Limits(**(about.get("limits") or {})))
    runs = own_data.kept(found.recommended.runs)
    fewer = [part for part in scored(groups(Records(folder / FEWER).all())) if part.model == group.model]
    names = list(about.get("classes") or ())
    known: dict[str, Any] = {"curve": tuple(own_data.curve(found.recommended, fewer))}
    if runs and runs[0].kind == "classes" and names:
        known["classes"] = tuple(own_data.class_scores(own_data.confusion(runs, len(names)), names))
        known |= {"mistakes": tuple(own_data.mistakes(runs)), "reliability": own_data.reliability(runs)}
    elif runs and runs[0].kind == "boxes" and names:
        known |= {"classes": tuple(own_data.box_scores(runs, names)), "missed": tuple(own_data.missed(runs))}
    return OwnData(folder, scale, about, found, tuple(runs), **known)


def redrawn(folder: Path) -> Path | None:
    """The page of a folder with data of one's own, written anew; None where it has none.

    Raises:
        BadInput: the folder cannot be written.
    """
    if not (folder / ABOUT).is_file():
        return None
    about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    return write_page(gathered(folder, str(about.get("scale") or "laptop"), about))


def write_page(data: OwnData) -> Path:
    """Writes README.md, its figures, and report.html, which is the same for a browser. Returns the first."""
    group = data.found.group
    with style.looks(methods([group])), style.drawing():
        drawn = {name: canvas.save(data.folder / "figures", name) for name, canvas in _figures(data)}
    blocks = [f"# {cell(group.task)}", *_first(data), *_table(data), *_classes(data, drawn), *_mistakes(data)]
    blocks += [*_trust(data, drawn), *_labels(data, drawn), *_about(data)]
    text = "\n\n".join(block for block in blocks if block) + "\n"
    write_own_html(data.folder, group.task, text)
    return write_atomically(data.folder / "README.md", text)


def _figures(data: OwnData) -> Iterator[tuple[str, Canvas]]:
    group, notes = data.found.group, [data.found.group.specs]
    subject = f"{group.task}, {data.found.recommended.label}"
    if data.classes and not data.boxes:
        names = [one.name for one in data.classes]
        matrix = own_data.confusion(data.outcomes, len(names))
        yield "confusion", figures.confusion(matrix, names, subject=subject, notes=notes)
    if data.reliability:
        yield "reliability", figures.reliability(data.reliability, subject=subject, notes=notes)
    if len(data.curve) > 1:
        one = data.found.recommended
        yield (
            "data_curve",
            figures.data_curve(data.curve, metric=one.metric, method=one.name, subject=group.subject, notes=notes),
        )


def _first(data: OwnData) -> Iterator[str]:
    """The recommendation with its reasons, then what to do."""
    first, *others = advice(data.found)
    yield f"**{first}**"
    yield "\n".join(f"- {line}" for line in others)
    yield "## What to do next"
    yield "\n".join(f"- {line}" for line in next_steps(data.found, data.curve, data.classes, data.about))


def _table(data: OwnData) -> Iterator[str]:
    """What each method reaches and costs."""
    metric = data.found.metric
    rows = []
    for row in frame(data.found).to_dict("records"):
        sure = row["low"] is not None and row["low"] == row["low"]
        interval = f"{score(metric, row['low'])} to {score(metric, row['high'])}" if sure else "one seed"
        mark = "**" * bool(row["recommended"])
        costs = [
            shown(row[key]) if row[key] is not None and row[key] == row[key] else ""
            for key, shown in (
                ("backbone_parameters", style.count), ("memory", style.size), ("seconds", style.seconds),
                ("latency", milliseconds), ("stored", style.size),
            )
        ]  # fmt: skip
        rows.append((f"{mark}{row['method']}{mark}", score(metric, row["score"]), interval, row["verdict"], *costs))
    yield "## What each method reaches and costs"
    head = ("method", style.metric_name(metric), "95 % interval", "against the best", "backbone parameters")
    yield table((*head, "training memory", "training time", "latency of one", "to store"), rows)
    yield (
        f"On the test part, which nothing was chosen on. [All figures and records]({data.scale}/README.md): learning "
        "curves, tuning, every run."
    )


def _classes(data: OwnData, drawn: Mapping[str, Sequence[Path]]) -> Iterator[str]:
    if not data.classes:
        return
    yield "## Every class"
    worst = sorted(data.classes, key=lambda one: one.ap if one.ap is not None else one.f1)
    shown = list(data.classes) if len(data.classes) <= CLASSES else worst[:CLASSES]
    if data.boxes:
        boxes = [(cell(c.name), f"{c.support:,}", f"{c.ap or 0:.3f}", f"{c.recall:.2f}") for c in shown]
        yield table(("class", "boxes in test", "box AP", "share found"), boxes)
        yield "Share found: of as many of the highest-scoring detections as there are boxes, at an overlap of .5."
    else:
        rows = [(cell(c.name), f"{c.support:,}", f"{c.precision:.2f}", f"{c.recall:.2f}", f"{c.f1:.2f}") for c in shown]
        yield table(("class", "in test", "precision", "recall", "F1"), rows)
    if len(shown) < len(data.classes):
        yield f"The {len(shown)} of {len(data.classes)} classes that are found least."
    yield from _figure("confusion", "Confusion matrix", drawn)


def _figure(name: str, title: str, drawn: Mapping[str, Sequence[Path]]) -> Iterator[str]:
    if name in drawn:
        yield f"![{title}](figures/{drawn[name][0].name})"


def _mistakes(data: OwnData) -> Iterator[str]:
    """Samples by their names, with links to the files; pictures as pictures."""
    known = data.about.get("samples") or {}
    names = [one.name for one in data.classes]
    if data.mistakes:
        yield "## The most confident mistakes"
        rows = []
        for one in data.mistakes[:SHOWN]:
            sure = f"{one.confidence:.2f}" if one.confidence is not None else ""
            said = (cell(names[one.label]), cell(names[one.predicted]), sure, f"{one.wrong} of {one.seeds}")
            rows.append((_sample(known.get(str(one.id)), one.id), *said))
        yield table(("sample", "labelled", "predicted", "confidence", "wrong on seeds"), rows)
        yield "Some of them may be labelled wrongly: look before you blame the model."
    if data.missed:
        yield "## The pictures with most mistakes"
        pictures = [
            (_sample(known.get(str(m.id)), m.id), f"{m.objects:.0f}", f"{m.missed:.1f}", f"{m.false:.1f}")
            for m in data.missed[:SHOWN]
        ]
        yield table(("picture", "boxes", "missed", "on none"), pictures)
        yield "A mean over seeds; on every picture as many of the highest-scoring detections count as it has boxes."
    if data.boxes and (data.folder / data.scale / "figures" / "examples.png").is_file():
        yield f"![Boxes found on test pictures]({data.scale}/figures/examples.png)"


def _sample(known: Mapping[str, str] | None, number: int) -> str:
    """A sample in a cell: its picture or text, and a link to its file."""
    if known is None:
        return f"sample {number}"
    name = cell(str(known.get("text") or known.get("title") or f"sample {number}"))
    name = name.replace("[", "\\[").replace("]", "\\]").replace("<", "&lt;")
    linked = f"[{name}](<{known['file']}>)" if known.get("file") else name
    shown = f'<img src="pictures/{known["picture"]}" width="96"><br>' if known.get("picture") else ""
    return f"{shown}{linked}" + (f"<br>{cell(str(known['title']))}" if known.get("text") else "")


def _trust(data: OwnData, drawn: Mapping[str, Sequence[Path]]) -> Iterator[str]:
    if data.reliability:
        yield "## How far its probabilities can be trusted"
        yield (
            f"Expected calibration error {data.reliability.ece:.3f}: by so much its confidence is off on average. "
            "Where it is large, do not read a probability as one."
        )
        yield from _figure("reliability", "Reliability diagram", drawn)


def _labels(data: OwnData, drawn: Mapping[str, Sequence[Path]]) -> Iterator[str]:
    if len(data.curve) > 1:
        yield "## Would more labels help?"
        head = ("training samples", style.metric_name(data.found.metric), "95 % interval")
        rows = [(f"{p.samples:,}", score(data.found.metric, p.score.mean), _interval(data, p)) for p in data.curve]
        yield table(head, rows)
        yield from _figure("data_curve", "Score by training samples", drawn)


def _interval(data: OwnData, point: Point) -> str:
    if point.score.interval is None:
        return "one seed"
    return " to ".join(score(data.found.metric, end) for end in point.score.interval)


def _about(data: OwnData) -> Iterator[str]:
    """What was understood of the data, and how the comparison came about."""
    yield "## The data"
    if lines := data.about.get("summary"):
        yield "```\n" + "\n".join(map(str, lines)) + "\n```"
    yield "\n".join(f"- {line}" for line in data.about.get("said") or ())
