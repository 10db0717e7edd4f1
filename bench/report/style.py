"""One visual language: a method has one colour, marker and dash in every figure, legible in grey too."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Look:
    """How a method is drawn, and what it is called where people read."""

    name: str
    colour: str
    marker: str
    dash: str | tuple[int, tuple[int, ...]] = "-"

    @property
    def ink(self) -> str:
        """The colour for text: as dark as it takes to be read on white (contrast 4.5 and above, WCAG 2)."""
        return ink(self.colour)


def ink(colour: Any) -> str:
    """A colour as dark as it takes to be read on white (contrast 4.5 and above, WCAG 2)."""
    from matplotlib.colors import to_hex, to_rgb

    darker = to_rgb(colour)
    while _luminance(darker) > 0.18:
        darker = (darker[0] * 0.95, darker[1] * 0.95, darker[2] * 0.95)
    return to_hex(darker)


def on(colour: Any) -> str:
    """The colour of text that can be read on this one."""
    from matplotlib.colors import to_rgb

    return "#FFFFFF" if _luminance(to_rgb(colour)) < 0.18 else "#111111"


def _luminance(colour: tuple[float, float, float]) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


# Okabe and Ito's colours, which colour-blind readers distinguish; in grey the markers differ.
_KNOWN = {
    "FullFineTuning": Look("full fine-tuning", "#222222", "s", (0, (6, 2))),
    "LinearProbe": Look("linear probe", "#6E6E6E", "d", (0, (1, 1))),
    "LoRA": Look("LoRA", "#0072B2", "o"),
    "BitFit": Look("BitFit", "#E69F00", "^", (0, (4, 1, 1, 1))),
    "LayerNormTuning": Look("LayerNorm tuning", "#999933", "<", (0, (1, 1, 4, 1))),
    "Houlsby": Look("Houlsby adapter", "#009E73", "v", (0, (3, 1))),
    "Pfeiffer": Look("Pfeiffer adapter", "#D55E00", "P", (0, (2, 1))),
    "AdaptFormer": Look("AdaptFormer", "#CC79A7", "X", (0, (5, 1, 1, 1, 1, 1))),
    "FeatureLoRA": Look("feature LoRA", "#56B4E9", "D", (0, (3, 1, 1, 1))),
}
_SPELLED = {
    "ConvAdapter": "conv adapter",
    "IA3": "(IA)³",
    "LastBlocks": "last blocks",
    "LoRAFA": "LoRA-FA",
    "LoRAPlus": "LoRA+",
    "PrefixTuning": "prefix tuning",
    "PromptTuning": "prompt tuning",
}
"""Methods without a look of their own, as their papers write them."""
_SETS: dict[tuple[Any, ...], str] = {
    ("q", "k", "v", "o"): "attention",
    ("up", "down"): "MLP",
    ("q", "k", "v", "o", "up", "down"): "all linear",
}
_MORE_COLOURS = ("#882255", "#44AA99", "#AA4499", "#661100", "#332288", "#117733")
_MORE_MARKERS = (">", "p", "h", "*", "8", "H")
_MORE_DASHES = ((0, (5, 1)), (0, (2, 2)), (0, (6, 1, 2, 1)), (0, (1, 2)), (0, (4, 2, 1, 2, 1, 2)))
_handed_out: ContextVar[Mapping[str, Look]] = ContextVar("handed_out")

METRICS = {
    "top1": "top-1 accuracy",
    "accuracy": "accuracy",
    "exact_match": "exact match",
    "f1": "F1",
    "macro_f1": "macro F1",
    "matthews": "Matthews correlation",
    "pearson": "Pearson correlation",
    "spearman": "Spearman correlation",
    "loss": "loss",
    "ece": "calibration error",
    "box_ap": "box AP",
    "ap50": "box AP50",
    "ap75": "box AP75",
    "ap_small": "box AP, small objects",
    "ap_medium": "box AP, medium objects",
    "ap_large": "box AP, large objects",
    "ar100": "box AR, 100 detections",
}
BESIDE = {"box_ap": "ap50", "f1": "exact_match"}  # what readers expect to see beside a headline metric
BASELINE = "#7D5A3C"  # baselines without a network: none of the methods' colours
_BASELINE_DASHES = ((0, (9, 2, 1, 2)), (0, (3, 2)), (0, (9, 2, 1, 2, 1, 2)), (0, (14, 5)))
LOWER_IS_BETTER = frozenset({"loss", "ece"})
_CORRELATIONS = frozenset({"matthews", "pearson", "spearman"})  # from -1 to 1; all other known metrics from 0
NOTE = "#555555"  # footnotes and other text that stands back
HEAD = "#BBBBBB"  # the head's parameters, the same grey for every method


def look(method: str) -> Look:
    """The look of a method by its class name; one not known beforehand has what `looks` handed out, or the first."""
    return _KNOWN.get(method) or _handed_out.get({}).get(method) or _free(0, method)


@contextmanager
def looks(methods: Iterable[str]) -> Iterator[None]:
    """Hand out looks to what is drawn together: the same for the same methods, whatever their order.

    Args:
        methods: class names. Those not known beforehand get colours and markers that no other has, in the order of
            their names; with more methods than free colours, markers and dashes tell those of one colour apart.
    """
    new = sorted(set(methods) - _KNOWN.keys())
    token = _handed_out.set({method: _free(number, method) for number, method in enumerate(new)})
    try:
        yield
    finally:
        _handed_out.reset(token)


def _free(number: int, method: str) -> Look:
    """The `number`-th look that no known method has; after a round of colours each meets the next marker, and dash."""
    turn, colour = divmod(number, len(_MORE_COLOURS))
    marker = _MORE_MARKERS[(colour + turn) % len(_MORE_MARKERS)]
    dash = _MORE_DASHES[(number + turn // len(_MORE_MARKERS)) % len(_MORE_DASHES)]
    return Look(_SPELLED.get(method, method), _MORE_COLOURS[colour], marker, dash)


def label(method: str, spec: str, detail: str) -> str:
    """What readers see of a configuration: "LoRA r=8"; of several methods together, "LoRA + BitFit".

    Args:
        method: class name.
        spec: the specification.
        detail: what tells it from others of the same method.
    """
    together = re.findall(r"(\w+)\(", spec)[1:] if method == "Together" else ()
    return f"{' + '.join(look(part).name for part in together) or look(method).name} {detail}".strip()


def baseline_look(number: int) -> Look:
    """The look of a study's `number`-th baseline: grey-brown for all, each with a dash of its own."""
    return Look("baseline", BASELINE, "_", _BASELINE_DASHES[number % len(_BASELINE_DASHES)])


CHANCE = Look("chance", BASELINE, "_", (0, (1, 3)))
"""Guessing: dotted, thinner than a baseline."""


def shades(method: str, number: int) -> list[tuple[float, float, float]]:
    """A method's colour; for several configurations of it from light to dark."""
    import seaborn as sns
    from matplotlib.colors import to_rgb

    colour = look(method).colour
    if number <= 1:
        return [to_rgb(colour)] * number
    ends = sns.blend_palette(["#FFFFFF", colour, "#000000"], n_colors=101)
    return [ends[round(28 + 52 * step / (number - 1))] for step in range(number)]


def searched(methods: Sequence[str]) -> list[tuple[float, float, float]]:
    """A colour for each of several searches: its method's, from light to dark where a method has several."""
    left = {method: iter(shades(method, methods.count(method))) for method in methods}
    return [next(left[method]) for method in methods]


def extent(metric: str) -> tuple[float, float]:
    """Between what a metric lies: 0 and 1 for accuracy; infinite where nothing is known of it."""
    if metric not in METRICS:
        return -math.inf, math.inf
    return -1.0 if metric in _CORRELATIONS else 0.0, math.inf if metric == "loss" else 1.0


def metric_name(metric: str) -> str:
    """What a metric is called on an axis: "top1" is "top-1 accuracy"."""
    return METRICS.get(metric, metric.replace("_", " "))


def short(field: str, value: Any) -> str:
    """One field of a method's configuration on a label: r=8, width 64, q+v, last 2 blocks."""
    if isinstance(value, list | tuple):
        roles = tuple(str(item) for item in value)
        return _SETS[roles] if field == "at" and roles in _SETS else "+".join(roles)
    if field == "rank":
        return f"r={value}"
    if field == "blocks" and isinstance(value, int):
        return f"{'last' if value < 0 else 'first'} {abs(value)} block{'s' * (abs(value) != 1)}"
    return field.replace("_", " ") + f" {value}" * (value is not True)


def signed(number: float, digits: int = 1) -> str:
    """A difference with its sign, and as many digits as it takes to see on which side of 0 it lies: +1.2, −0.04."""
    if abs(number) < 1e-9:
        return f"{0:.{digits}f}"
    while digits < 9 and round(abs(number), digits) == 0:
        digits += 1
    return f"{number:+.{digits}f}".replace("-", "−")


def count(number: float) -> str:
    """A number of parameters on an axis: 18k, 1.2M."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.3g}"


def power(number: float) -> str:
    """A learning rate on an axis: 1e-4, 3e-4, 0.1."""
    if number >= 0.01:
        return f"{number:g}"
    digits, exponent = f"{number:.0e}".split("e")
    return f"{digits}e{int(exponent)}"


def seconds(number: float) -> str:
    """A duration on an axis: 0.4 s, 12 s, 3 min, 2 h."""
    for unit, size in (("h", 3600), ("min", 60)):
        if number >= 2 * size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.3g} s"


def size(number: float) -> str:
    """Bytes on an axis: 320 MiB, 2.4 GiB."""
    for unit, power in (("TiB", 40), ("GiB", 30), ("MiB", 20)):
        if number >= 2**power:
            return f"{number / 2**power:.3g} {unit}" if number < 100 * 2**power else f"{number / 2**power:.0f} {unit}"
    return f"{number / 1024:.3g} KiB"


COLUMN = 3.4
"""Width in inches of a figure for one column of a paper."""
_in_column: ContextVar[bool] = ContextVar("in_column", default=False)


@contextmanager
def column() -> Iterator[None]:
    """What is drawn is for one column of a paper: narrow, without heading and footnotes, which its caption has."""
    token = _in_column.set(True)
    try:
        yield
    finally:
        _in_column.reset(token)


def in_column() -> bool:
    """Whether what is drawn is for one column of a paper."""
    return _in_column.get()


def pt(size: float) -> float:
    """A size of letters in points, a fifth smaller in a column."""
    return 0.8 * size if in_column() else size


@contextmanager
def drawing() -> Iterator[None]:
    """Draw in the suite's style and leave the caller's matplotlib (a notebook's, say) as it was."""
    import matplotlib as mpl
    import seaborn as sns

    settings: Any = {
        **sns.axes_style("ticks"),
        **sns.plotting_context("notebook", font_scale=0.9),
        "font.family": ["DejaVu Sans"],  # comes with matplotlib: the same letters on every machine
        "axes.grid": True,
        "grid.color": "#E8E8E8",
        "grid.linewidth": 0.7,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlelocation": "left",
        "axes.titlesize": 10,
        "legend.frameon": False,
        "svg.hashsalt": "lora-bench",
        "path.simplify": True,
        "text.parse_math": False,  # a "$" in a class's name is a dollar
    }
    with mpl.rc_context(settings):
        yield
