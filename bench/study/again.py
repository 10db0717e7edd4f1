"""A run from what a record or a file of kept weights says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from bench.errors import BadInput
from bench.methods import METHODS
from bench.models import resolve as resolve_model
from bench.spec import parse
from bench.tasks import resolve as resolve_task
from bench.training.recipe import Training
from bench.training.run import Run


def run_of(about: Mapping[str, Any], *, keep: bool = False) -> Run:
    """The run that a record, or the metadata of kept weights, tells of: task, model, method, training and seed.

    Args:
        about: "task", "model" and "method" as specifications (or a record's tables with "spec"), "training", "seed".
        keep: whether its weights are to be handed out.

    Raises:
        BadInput: a specification that is not known here, as of a method of an own file.
    """
    spec = {part: _text(about[part]) for part in ("task", "model", "method")}
    known = {field.name for field in fields(Training)}
    training = {name: value for name, value in about["training"].items() if name in known}
    try:
        method = parse(spec["method"], known=METHODS, kind="method")
        task, model = resolve_task(spec["task"]), resolve_model(spec["model"])
        return Run(task, model, method, Training(**training), int(about["seed"]), timed=False, keep=keep)
    except BadInput as error:
        hint = "" if spec["method"].partition("(")[0] in METHODS else "; one from outside needs --from FILE"
        raise BadInput(f"run {about.get('run_id')} cannot be made again here: {error}{hint}") from None


def _text(part: Any) -> str:
    return str(part["spec"] if isinstance(part, Mapping) else part)
