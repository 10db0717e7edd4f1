"""How MLflow opens on a study: which columns its list of runs shows, and what is said above it. No MLflow.

MLflow keeps a view of the list, which its menu "Views" offers and a link opens, as JSON in a tag of the experiment.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from bench.errors import scrubbed
from bench.report.data.groups import groups, scored

KIND = {"mlflow.experimentKind": "custom_model_development"}
"""MLflow's word for "model training"; without it MLflow guesses between that and agents."""
VIEW = "lora-bench"
_ABOUT = "mlflow.about."  # MLflow shows no tags of this beginning
_LONGEST = 5000
"""Characters of a tag that any version and database takes."""
_WIDTHS = {  # in this order; MLflow draws columns that it groups (metrics, parameters) side by side all the same
    "attributes.`Run Name`": 280,
    "metrics.`score`": 95,
    "metrics.`score low`": 95,
    "metrics.`score high`": 95,
    "metrics.`parameters/backbone`": 150,
    "metrics.`memory MiB`": 105,
    "metrics.`time/train`": 95,
    "metrics.`validation score`": 125,
    "params.`metric`": 85,
    "params.`chosen.lr`": 95,
    "params.`memory`": 160,
    "params.`task`": 130,
    "params.`configuration`": 260,
}
"""Columns of the list of runs and their widths in pixels."""


def state() -> dict[str, Any]:
    """MLflow's own description of a list of runs: one row a configuration, the best first."""
    return {
        "searchFilter": "tags.kind = 'parent'",
        "orderByKey": "metrics.`score`",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": list(_WIDTHS)[1:],
        "columnOrder": list(_WIDTHS),
        "columnWidths": _WIDTHS,
    }


def tags() -> dict[str, str]:
    """Tags of the experiment: its kind, and the view with scores, parameters and memory."""
    view = {"name": "Score, parameters, memory", "createdAt": 0, "updatedAt": 0, "state": json.dumps(state())}
    return {**KIND, f"mlflow.sharedViewState.{VIEW}": json.dumps(view)}


def link(site: str, number: str) -> str:
    """Where the list of an experiment's runs opens with that view, in MLflow's mode for model training."""
    query = urlencode({"workflowType": "machine_learning", "viewStateShareKey": VIEW})
    return f"{site}/#/experiments/{number}/runs?{query}"


def page(number: str, run_id: str) -> str:
    """Where the study's page stands among the artefacts of a run, from any of MLflow's pages."""
    return f"#/experiments/{number}/runs/{run_id}/artifacts/README.md?workflowType=machine_learning"


def description(
    folder: Path, records: Sequence[Mapping[str, Any]], *, report: str, question: str, known: Mapping[str, str]
) -> dict[str, str]:
    """What stands above the list of a study's runs, in Markdown: the question, the answer, the page.

    Args:
        folder: results/<study>/<scale>.
        records: all in it.
        report: the address of the run that holds the page; "" if there is none.
        question: what the study asks; "": what its page says.
        known: the experiment's tags, which hold what was said of other scales.

    Returns:
        The tags that change.
    """
    from bench.report.page.answer import answer  # here: what the answer needs is not needed by a run
    from bench.report.page.study_page import asked

    question, file = question or asked(folder / "README.md"), "/".join((*folder.absolute().parts[-3:], "README.md"))
    tested = scored(groups(records))
    said = f"Scale {folder.name}: {' '.join(answer(tested))}" if tested else f"Scale {folder.name}."
    where = f"[Table, figures and page]({report}); on disk: `{file}`" if report else f"Page: `{file}`"
    own = {f"{_ABOUT}{folder.name}": f"{said}\n\n{where}"[:_LONGEST]}
    parts = {key: value for key, value in known.items() if key.startswith(_ABOUT)} | own
    whole = [question] * bool(question) + [parts[key] for key in sorted(parts)]
    return {**own, "mlflow.note.content": scrubbed("\n\n".join(whole))[:_LONGEST]}
