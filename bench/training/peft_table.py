"""Which of peft's tuners hold which checks: the table in bench/methods/PEFT.md, by `bench methods --peft`."""

from __future__ import annotations

import re
import textwrap
from importlib.metadata import version
from typing import Any

from tqdm import tqdm

from bench.errors import BadInput
from bench.methods.peft_bridge import Peft, tuners
from bench.sites import CONV
from bench.training.method_checks import BERT, CNN, VIT, report

SMALL: dict[str, dict[str, Any]] = {
    "ADALORA": {"init_r": 4, "target_r": 2},
    "C3A": {"block_size": 16},
    "MISS": {"r": 4},
    "PSOFT": {"r": 4},
    "ROAD": {"group_size": 16},
    "SHIRA": {"r": 2},
    "VBLORA": {"vector_length": 16, "num_vectors": 32},
    "WAVEFT": {"n_frequency": 100},
}
"""Options of tuners whose own defaults are too large for the networks of the checks."""
NETWORKS = (("ViT", VIT, ("q", "v")), ("BERT", BERT, ("q", "v")), ("CNN", CNN, CONV))
SLOW = ("same seed, same losses", "overfits eight samples")
"""Checks that are left out of the table."""
CAUSES = (
    ("_coalesce", "needs values, and cannot run on shapes alone"),
    ("torch.nonzero", "needs values, and cannot run on shapes alone"),
    (".peft.", ""),
)


def method(tuner: str, at: tuple[str, ...] = ("q", "v")) -> Peft:
    """A tuner small enough for the networks of the checks."""
    return Peft(tuner, at=at, **SMALL.get(tuner, {}))


def cells(tuner: str, networks: Any = NETWORKS) -> tuple[list[str], list[str]]:
    """Of every network ✓, ✗ or – (it does not go there), and what failed or why, each once."""
    signs: list[str] = []
    said: dict[str, None] = {}
    for _, model, at in networks:
        try:
            rows, failed = report(method(tuner, at), [model], without=SLOW)
        except BadInput as error:
            return ["–"] * len(networks), [_short(str(error))]
        skipped = [result for _, check, result in rows if check == "applies"]
        signs.append("–" if skipped and not failed else "✗" if failed else "✓")
        if failed or model is not CNN or not skipped:
            said |= dict.fromkeys(_short(f"{check}: {result}") for _, check, result in rows if result != "ok")
    return signs, list(said)


def markdown() -> str:
    """The table, its tuners by name, with a progress bar."""
    return drawn({tuner: cells(tuner) for tuner in tqdm(tuners(), unit="tuner")})


def drawn(found: dict[str, tuple[list[str], list[str]]]) -> str:
    """A Markdown table of what `cells` found of each tuner, and under it what its notes say."""
    notes = list(dict.fromkeys(note for _, said in found.values() for note in said))
    head = " | ".join([f"tuner (peft {version('peft')})", *(name for name, _, _ in NETWORKS), "notes"])
    lines = [f"| {head} |", "|---|---|---|---|---|"]
    for tuner, (signs, said) in found.items():
        lines.append(f"| `{tuner}` | {' | '.join(signs)} | {', '.join(str(notes.index(note) + 1) for note in said)} |")
    told = (textwrap.wrap(f"{n}. {note}", 118, subsequent_indent="   ") for n, note in enumerate(notes, 1))
    return "\n".join([*lines, "", *(line for each in told for line in each)])


def _short(text: str) -> str:
    """A result in some words: without its numbers, which differ from network to network, nor a library's list."""
    text = text.replace("FAILED: ", "").replace("ok: ", "").replace("skipped: ", "").replace("|", "/")
    for sign, words in CAUSES:
        if sign in text:
            text = f"{text.partition(':')[0]}: {words or 'no gradient where the base has a bias of zero'}"
    text = re.sub(r"peft's [A-Z_\d]+ ", "it ", text)
    return re.sub(r" by [\d.e+-]+\d", "", text)[:150]
