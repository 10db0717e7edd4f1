"""Tables for notebooks, papers and the page: a row a configuration, and a row a difference."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from bench.records import write_atomically
from bench.report import style
from bench.report.data import differences, flags, robustness
from bench.report.data.convergence import convergence
from bench.report.data.groups import Group, scored
from bench.report.data.measured import Configuration, on_test
from bench.report.data.names import headings
from bench.report.data.retention import WAYS
from bench.report.tables import costs
from bench.report.tables.classes import beside
from bench.stats import ppt

if TYPE_CHECKING:
    import pandas as pd


ABOUT_DIFFERENCES = (
    "Positive: better than full fine-tuning. The verdict is by the 95% interval, one by one: of twenty, one "
    "leaves 0 out by chance; undecided: one seed, seeds that agree to the last sample, or an interval as wide as can "
    "be. Over: what the interval covers, seeds × test samples where records keep these (crossed random effects), else "
    "seeds alone (Student's). NLL: the cross-entropy on test, judged alike. p: of the same model; of seeds alone by "
    "permutation of signs, which of n pairs is never below 2/2ⁿ (of three .25); Holm's holds for all rows of a "
    "task together. With few seeds the p cannot be significant, the interval can."
)
ABOUT_PPT = (
    "PPT: score · exp(−log10(P / 10⁷ + 1)), P the trainable parameters of the backbone, which rates a score by how few "
    "it took (Xin et al. 2024, V-PETL Bench)."
)


def results(groups: Sequence[Group], *, digits: int = 4) -> pd.DataFrame:
    """A row a configuration: score with interval, to so many digits, what trains, what it costs, what to mind."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    extra = {group: beside(group) for group in groups}
    metrics = dict.fromkeys(metric for found in extra.values() for metric in found)
    for group, name in zip(groups, headings(groups), strict=True):
        learned = convergence(group)
        for c in group.configurations:
            low, high = c.score.interval or (None, None)
            rows.append({
                "task": name, "method": c.label, "metric": style.metric_name(group.metric),
                "score": round(c.score.mean, digits), "low": _rounded(low, digits), "high": _rounded(high, digits),
                **{style.metric_name(m): _also(c, m, digits) if m in extra[group] else None for m in metrics},
                "seeds": len(c.runs),
                "backbone parameters": c.backbone, "head parameters": c.head, "PPT": _ppt(c),
                **_retained(c), **_shifted(c, group),
                "memory MiB": _rounded(c.memory / 2**20 if c.memory else None, 1),
                "train seconds": _rounded(c.seconds.mean if c.seconds else None, 2),
                "learning rate": c.runs[0]["training"].get("lr"),
                "flags": "; ".join(flags.of_configuration(c, learned)),
                "specification": c.runs[0]["method"]["spec"],
            })  # fmt: skip
    return pd.DataFrame(rows)


def comparisons(groups: Sequence[Group], *, digits: int = 4) -> pd.DataFrame:
    """A row a configuration and task: less full fine-tuning, paired by seed; p of the permutation test, and Holm's."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for group, name in zip(groups, headings(groups), strict=True):
        base = differences.full(group)
        for one in differences.against(group, base) if base else []:
            if base is None or (found := one.difference) is None:
                continue
            low, high = found.interval or (None, None)
            rows.append({
                "task": name, "method": one.configuration.label, "difference": round(found.mean, digits),
                "low": _rounded(low, digits), "high": _rounded(high, digits), "pairs": found.pairs, "over": found.size,
                "p": round(found.p, 4), "p (Holm)": _rounded(one.corrected), "verdict": one.said,
                **_of_loss(one.configuration, base, digits),
            })  # fmt: skip
    return pd.DataFrame(rows)


def _of_loss(one: Configuration, base: Configuration, digits: int) -> dict[str, Any]:
    """The same of the cross-entropy, which tells apart what accuracy does not; positive: lower, which is better."""
    found = differences.on_metric(one, base, "loss") if one.metric != "loss" else None
    low, high = (found.interval if found else None) or (None, None)
    return {
        "NLL lower by": _rounded(found.mean if found else None, digits), "NLL low": _rounded(low, digits),
        "NLL high": _rounded(high, digits), "NLL verdict": differences.verdict(found) if found else None,
    }  # fmt: skip


def measured_costs(groups: Sequence[Group]) -> pd.DataFrame:
    """A row a configuration of a study of costs, in MiB, milliseconds and multiples of the untouched network."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for group in groups:
        n = costs.typical([group]) if costs.has_memory([group]) else 0
        for c in group.configurations:
            memory, step, latency = costs.estimated(c).get(n) or {}, costs.steps(c), costs.latency(c)
            base = latency.get("base")
            rows.append({
                "network": group.records[0]["model"]["name"], "method": c.label, "backbone parameters": c.backbone,
                f"GPU memory MiB (batch {n}, estimated)": _rounded((memory.get("peak") or 0) / 2**20 or None, 1),
                "step ms": _rounded(1e3 * step["seconds"] if step.get("seconds") else None, 1),
                "latency unmerged": _rounded(latency["unmerged"] / base if base and "unmerged" in latency else None, 3),
                "latency merged": _rounded(latency["merged"] / base if base and "merged" in latency else None, 3),
            })  # fmt: skip
    return pd.DataFrame(rows)


def write_exports(folder: Path, table: pd.DataFrame, groups: Sequence[Group]) -> list[Path]:
    """Write table.parquet and, where there are results, tables/*.tex (booktabs).

    Raises:
        BadInput: the folder cannot be written.
    """
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    written = [write_atomically(folder / "table.parquet", buffer.getvalue())]
    shown = scored(groups)
    exact = 12  # digits: what is rounded twice may be another number
    for name, frame in (("results", results(shown, digits=exact)), ("differences", comparisons(shown, digits=exact))):
        if len(frame):
            written.append(write_atomically(folder / "tables" / f"{name}.tex", latex(frame, name)))
        else:
            (folder / "tables" / f"{name}.tex").unlink(missing_ok=True)
    return written


def latex(frame: pd.DataFrame, name: str) -> str:
    """A booktabs table, ready for \\input; needs the package booktabs."""
    interval = [_interval(low, high) for low, high in zip(frame["low"], frame["high"], strict=True)]
    score = "score" if name == "results" else "difference"
    columns = {"task": frame["task"], "method": frame["method"]}
    metric = ["metric"] if name == "results" and frame["metric"].nunique() > 1 else []
    columns |= {column: frame[column] for column in metric}
    sign = "" if name == "results" else "+"
    columns |= {score: [f"{value:{sign}.3f}" for value in frame[score]], "95\\% interval": interval}
    if name == "results":
        columns |= {
            "seeds": frame["seeds"],
            "parameters": [style.count(n) if n else "0" for n in frame["backbone parameters"]],
        }
    else:
        columns |= {"$p$ (Holm)": [f"{p:.2f}" for p in frame["p (Holm)"]]}
    import pandas as pd

    text = pd.DataFrame(columns)
    styled = text.style.hide(axis="index").format(escape="latex", subset=["task", "method", *metric])
    return str(
        styled.to_latex(hrules=True, column_format="l" * (2 + len(metric)) + "r" * (len(columns) - 2 - len(metric)))
    )


def _also(of: Configuration, metric: str, digits: int) -> float | None:
    """Another metric on test, where it is defined."""
    found = on_test(of, metric)
    return _rounded(found.mean if found else None, digits)


def _retained(of: Configuration) -> dict[str, float]:
    """Accuracy on an old task before, and after under its old head and, where measured, in the other ways."""
    if not of.retained or not of.untouched:
        return {}
    pair = {"after": of.retained, "before": of.untouched}
    pair |= {f"after, {WAYS[way]}": known for way in WAYS if way != "retained" and (known := of.on_old_task(way))}
    return {f"{of.old_task} {when}": round(mean(values.values()), 4) for when, values in pair.items()}


def _shifted(of: Configuration, group: Group) -> dict[str, float | None]:
    """Under corruptions, and calibration before and after a temperature, where these were measured."""
    if not robustness.found(of):
        return {}
    figures = {
        f"{name}, {said}": _rounded(robustness.calibration(of, when, key))
        for key, name in robustness.NAMES.items() for when, said in (("before", "as trained"), ("after", "calibrated"))
    }  # fmt: skip
    return {"under corruptions": _rounded(robustness.corrupted(of, group)), **figures}


def _ppt(of: Configuration) -> float | None:
    """Of scores of which more is better."""
    return None if of.metric in style.LOWER_IS_BETTER else round(ppt(of.score.mean, of.backbone), 4)


def _interval(low: float | None, high: float | None) -> str:
    """Nothing (one seed) is None, or not a number beside others."""
    return "--" if low is None or low != low else f"{low:.3f} to {high:.3f}"


def _rounded(value: float | None, digits: int = 4) -> float | None:
    return None if value is None else round(value, digits)
