"""Every sentence with results in README.md and in the studies' docstrings, as a query on the records.

Not a study: nothing is run. A sentence stands here with `{name}` where a number or a list belongs, and in its document
as it is rendered; `tests/test_statements.py` fails where the two differ, prints what the document should say, and finds
numbers in these documents that no sentence here holds. To add one: an entry of `STATEMENTS`. Those on costs stand in
cost_statements.py, those of three studies of methods in method_statements.py, the pilot's in pilot_statements.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bench.report.claims import Evidence, judged, load
from bench.report.data.differences import BETTER, SAME, WORSE
from bench.report.queries import (
    FULL,
    PROBE,
    Facts,
    listed,
    of,
    points,
    short,
    worded,
)
from bench.report.rules import VERDICTS
from bench.report.sentences import against_best, against_full, chosen_rates, drifted, minutes
from bench.report.statements import Statement
from bench.study import loaded

RANKS = (1, 2, 4, 8, 16, 32, 64)
FAMILIES = {"elpv": "elpv", "text": "rotten-tomatoes", "boxes": "tree-crowns"}
LORAS = tuple(f"LoRA r={rank}" for rank in RANKS)


def span(facts: Facts, task: str) -> str:
    """The lowest and the highest mean of LoRA over the ranks."""
    return " to ".join(map(short, facts.ends(task, [label for label in LORAS if label in facts.labels(task, "LoRA")])))


def ratios(facts: Facts) -> list[float]:
    """LoRA's chosen rate over full fine-tuning's, a task each."""
    pairs = [(facts.one(g.task, "LoRA r=1").runs[0], facts.one(g.task, FULL).runs[0]) for g in facts.groups]
    return [one["training"]["lr"] / full["training"]["lr"] for one, full in pairs]


def verdicts(facts: Facts) -> Mapping[str, object]:
    """How the claims in claims.py stand."""
    found = [finding.verdict for _, finding in judged(load(CLAIMS), Evidence(facts.results, facts.scale))]
    return {name.lower(): found.count(name) for name in VERDICTS} | {"all": len(found)}


def macro(facts: Facts) -> str:
    """Macro-F1 on the old texts under the old head, of full fine-tuning and BitFit, over seeds."""
    runs = [run for label in (FULL, "BitFit") for run in facts.one("rotten-tomatoes", label).runs]
    return " to ".join(f"{f(run['metrics']['retained']['macro_f1'] for run in runs):.2f}"[1:] for f in (min, max))


CLAIMS = Path(__file__).with_name("claims.py")
README, SWEEP = "README.md", "rank-sweep"
AGAINST_FULL = (
    ("studies/rank_sweep.py", SWEEP, "elpv", "Pictures (ELPV, 400 training photos of 56 px, DINOv2-S/14), top-1"),
    ("studies/rank_sweep.py", SWEEP, "rotten-tomatoes", "Text (Rotten Tomatoes, 1,200 snippets, MiniLM-L6), top-1"),
    ("studies/rank_sweep.py", SWEEP, "tree-crowns", "Boxes (62 tiles at 126 px, DINOv2-S/14 under FCOS), box AP"),
    ("studies/learning_rate.py", "learning-rate", "elpv", "On test with these rates, pictures"),
    ("studies/learning_rate.py", "learning-rate", "rotten-tomatoes", "Text, on test"),
    ("studies/learning_rate.py", "learning-rate", "tree-crowns", "Boxes, box AP on test"),
    ("studies/low_data.py", "low-data", "mnist-5k, train=100", "MNIST-5k, 100 digits"),
    ("studies/low_data.py", "low-data", "elpv, train=20", "ELPV, 20 photos"),
    ("studies/low_data.py", "low-data", "elpv, train=1400", "ELPV, all 1,400 photos, each seen about once"),
)
PLACED = (
    ("elpv", "Pictures (ELPV, 400 training photos of 56 px, DINOv2-S/14), accuracy"),
    ("rotten-tomatoes", "Text (Rotten Tomatoes, 1,200 snippets, MiniLM-L6), accuracy"),
    ("tree-crowns", "Boxes (tree crowns, 62 training tiles, DINOv2-S/14 at 126 px under FCOS), box AP"),
)
CHOSEN = (
    ("elpv", "Chosen on pictures (ELPV, 200 photos, DINOv2-S/14, 56 px, four epochs)"),
    ("rotten-tomatoes", "On text (Rotten Tomatoes, 600 snippets, MiniLM-L6, two epochs)"),
    ("tree-crowns", "On boxes (tree crowns, 62 tiles, DINOv2-S/14 under FCOS, six epochs)"),
)
DRIFTED = (
    ("elpv", "Pictures (DINOv2-S/14; 400 solar cells are learned; MNIST digits)"),
    ("rotten-tomatoes", "Text (MiniLM-L6; 1,200 film reviews are learned; Reuters R8 news)"),
)
QUESTIONS = (
    (SWEEP, "How much rank does LoRA need, and what do other methods reach?"),
    ("learning-rate", "Does LoRA's best learning rate depend on its rank?"),
    ("placement", "Where should LoRA go, if every placement trains equally many parameters?"),
    ("low-data", "Which method is best with ten samples a class, and with all?"),
    ("forgetting", "Does LoRA forget less of an old task than full fine-tuning?"),
    ("methods", "Which method is best, when all are tuned alike, and what does each of them cost?"),
    ("initialisation", "What of LoRA matters: start, scale, rank, dropout, place, biases?"),
    ("quantised", "What does LoRA lose on a base in bf16, int8 or nf4?"),
    ("costs", "What does a method cost: memory, time of a step, latency?"),
)
WORDS = (  # without numbers, but false if records change
    Statement(
        "studies/learning_rate.py",
        "learning-rate",
        "on pictures, r = 1 with the rate chosen for it has the lowest mean on test",
        holds=lambda f: (
            f.mean("elpv", "LoRA r=1") == f.ends("elpv", [c.label for c in f.group("elpv").configurations])[0]
        ),
    ),
    Statement(
        "studies/low_data.py",
        "low-data",
        "With 20 photos and with all, no method differs significantly from full fine-tuning",
        holds=lambda f: all(
            found == SAME for n in (20, 1400) for found in f.verdicts(f"elpv, train={n}", FULL).values()
        ),
    ),
    Statement(
        "studies/low_data.py",
        "low-data",
        "the linear probe with 20 photos: two; the third diverged",
        holds=lambda f: len(f.one("elpv, train=20", PROBE).runs) == 2,
    ),
)
STATEMENTS = (
    Statement(
        README,
        SWEEP,
        "From r = 1 to 64, LoRA's mean accuracy is {elpv} on solar cells and {text} on film reviews; r = 64 less r = 1 "
        "is {d_elpv} and {d_text} points (95 % intervals), so {seeds} seeds do not show that rank matters, nor that it "
        "does not.",
        lambda f: {
            **{name: span(f, FAMILIES[name]) for name in ("elpv", "text")},
            **{f"d_{name}": points(f.difference(FAMILIES[name], LORAS[-1], LORAS[0])) for name in ("elpv", "text")},
            "seeds": worded(f.seeds),
        },
        lambda f: all(f.verdict(task, LORAS[-1], LORAS[0]) == SAME for task in ("elpv", "rotten-tomatoes")),
    ),
    Statement(
        README,
        SWEEP,
        "Full fine-tuning has the highest mean on both ({elpv} and {text}); {n} and {m} of the {all} others do not "
        "differ from it significantly. The linear probe is significantly below it ({p_elpv} and {p_text}).",
        lambda f: {
            **{name: short(f.mean(FAMILIES[name], FULL)) for name in ("elpv", "text")},
            **{f"p_{name}": short(f.mean(FAMILIES[name], PROBE)) for name in ("elpv", "text")},
            "n": list(f.verdicts("elpv", FULL).values()).count(SAME),
            "m": list(f.verdicts("rotten-tomatoes", FULL).values()).count(SAME),
            "all": len(f.verdicts("elpv", FULL)),
        },
        lambda f: all(
            f.best(task) == FULL and f.verdict(task, PROBE, FULL) == WORSE for task in ("elpv", "rotten-tomatoes")
        ),
    ),
    Statement(
        README,
        SWEEP,
        "On boxes every score is close to zero: box AP is {frozen} with a frozen backbone, and {adapted} with an "
        "adapted one, which is significantly more with {better}. In {last} of these {all} runs the last epoch was the "
        "best, so longer training may well change this.",
        lambda f: {
            "frozen": short(f.mean("tree-crowns", PROBE)),
            "adapted": " to ".join(map(short, f.ends("tree-crowns", f.verdicts("tree-crowns", PROBE)))),
            "better": of(f, "tree-crowns", BETTER, PROBE),
            "last": f.last("tree-crowns")[0],
            "all": f.last("tree-crowns")[1],
        },
        lambda f: f.ends("tree-crowns", [c.label for c in f.group("tree-crowns").configurations])[1] < 0.05,
    ),
    Statement(
        README,
        SWEEP,
        "What `make study-rank-sweep` made on two CPU cores when it was larger (protocol 1), {seeds} seeds each. Left: "
        "solar cells with or without a "
        "defect (ELPV, {elpv} training photos, DINOv2-S/14). Middle: film reviews, fresh or rotten ({text:,} training "
        "snippets, MiniLM-L6). Right: boxes around tree crowns ({boxes} training tiles, DINOv2-S/14 under FCOS).",
        lambda f: {"seeds": worded(f.seeds)} | {name: f.group(task).samples for name, task in FAMILIES.items()},
    ),
    Statement(
        "studies/rank_sweep.py",
        SWEEP,
        "Seeds scatter by {elpv} on pictures, {text} on text and {boxes} on boxes within a configuration. In {a} of "
        "{n}, {b} of {m} and {c} of {k} runs the last epoch was the best: speed is compared as much as reach.",
        lambda f: {
            **{name: short(f.noise(task)) for name, task in FAMILIES.items()},
            **dict(zip("an", f.last("elpv"), strict=True)),
            **dict(zip("bm", f.last("rotten-tomatoes"), strict=True)),
            **dict(zip("ck", f.last("tree-crowns"), strict=True)),
        },
    ),
    Statement(
        "studies/rank_sweep.py",
        SWEEP,
        "TF-IDF with logistic regression reaches {few} on the same 1,200 texts and {many} on all 7,842.",
        lambda f: {
            name: short(next(b.score.mean for b in f.group("rotten-tomatoes").baselines if n in b.label))
            for name, n in (("few", "1,200 texts"), ("many", "7,842 texts"))
        },
    ),
    *(against_full(*each) for each in AGAINST_FULL),
    *(against_best(*each) for each in PLACED),
    *(chosen_rates(*each) for each in CHOSEN),
    *(drifted(*each) for each in DRIFTED),
    Statement(
        "studies/forgetting.py",
        "forgetting",
        "On text, macro-F1 under the old head is {macro} after full fine-tuning and BitFit, about what predicting one "
        "of the eight classes gives, at most .125.",
        lambda f: {"macro": macro(f)},
        lambda f: float(macro(f).split()[-1]) < 0.2,
    ),
    *loaded("studies.cost_statements", Path(__file__).with_name("cost_statements.py")).COSTS,
    *loaded("studies.method_statements", Path(__file__).with_name("method_statements.py")).OF_METHODS,
    *loaded("studies.pilot_statements", Path(__file__).with_name("pilot_statements.py")).OF_PILOT,
    *(minutes(*each) for each in QUESTIONS),
    *WORDS,
    Statement(
        "studies/learning_rate.py",
        "learning-rate",
        "LoRA's best rate on the grid is the same at every rank that was tried, and {times} times full fine-tuning's.",
        lambda f: {"times": listed(f"{times:.0f}" for times in ratios(f))},
    ),
    Statement(
        "studies/README.md",
        "rank-sweep",
        "at the laptop scale {confirmed} of the {all} claims are confirmed, {refuted} are refuted, "
        "{no better} no better, and {inconclusive} "
        "are inconclusive.",
        lambda f: verdicts(f),
    ),
    Statement(  # huggingface/peft, commit 5d602fd, method_comparison/MetaMathQA/results/*.json, "forgetting"
        "studies/forgetting.py",
        "",
        "the loss on Wikipedia rises by .030 with full fine-tuning at a rate of 1e-5, by .050 (r = 32) to .111 (r = "
        "64, rank-stabilised) with LoRA on q and v, and by .032 with LoRA on the MLP (r = 10).",
    ),
)
