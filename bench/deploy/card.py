"""The model card: what was trained on what, how good and how dear it is, what it is for, and how it is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.assets import ASSETS
from bench.costs.units import readable
from bench.deploy import preparation
from bench.deploy.loading import Trained
from bench.deploy.sample_intervals import between
from bench.records import Records
from bench.records.outcomes import of_record

ONNX_LINES = (
    "import onnxruntime",
    "session = onnxruntime.InferenceSession('model.onnx')",
    "names = [each.name for each in session.get_inputs()]",
    "given = inputs if hasattr(inputs, 'keys') else {names[0]: inputs}  # arrays, a batch of any size",
    "(logits,) = session.run(None, {name: given[name] for name in names})",
)
MLFLOW_LINES = (
    "import mlflow",
    "model = mlflow.pyfunc.load_model('.')",
    "model.predict(frame)  # or from a shell: mlflow models serve -m . --env-manager local",
)


def text(trained: Trained, to: str, lines: Sequence[str], difference: float | None) -> str:
    """The card, in Markdown.

    Args:
        trained: the run.
        to: the format that it stands beside.
        lines: of Python that load it.
        difference: that was found in the check.
    """
    about, task = trained.about, trained.run.task
    record = Records(trained.path.parent.parent).read(str(about["run_id"])) or {}
    parts = [
        f"# {about['method']} on {about['name']}",
        f"Run `{about['run_id']}` of study `{about['study']}` ({about['scale']}), seed {about['seed']}.",
        "## Load it",
        *_loading(trained, to, lines, difference),
        "## Data and task",
        f"`{about['task']}`; {_sizes(record)}sha256 of the data `{str(about['data_sha256'])[:16]}`. "
        + (f"Classes: {', '.join(trained.classes)}." if trained.classes else "A number is predicted."),
        f"Inputs: {_inputs(about['preprocessing'], trained.family)}.",
        *_prepared(trained, to),
        "## Scores",
        _scores(record or dict(about), task.metric),
        "## Costs",
        _costs(trained, record),
        "## Intended use",
        f"To tell {about['name']}'s classes apart on samples like those it was trained on. It was measured on this "
        "data's test part and nothing else: on other cameras, topics or times of day it may be worse, and its "
        "probabilities may be too sure (`bench evaluate` says both on new labelled data). It is no basis for decisions "
        "about people.",
        "## Licences",
        _licences(trained),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _loading(trained: Trained, to: str, lines: Sequence[str], difference: float | None) -> list[str]:
    own = f"import bench; bench.load_model({trained.path.name!r}).predict(['new'])"
    code = "\n".join(lines) if lines else own
    checked = ""
    if difference is not None:
        checked = f"Checked on validation samples: outputs differ by {difference:.1g} of the largest at most."
    return [f"```python\n{code}\n```", checked]


def _prepared(trained: Trained, to: str) -> list[str]:
    """How an input is made without this package, where the export needs none."""
    if to not in ("merged", "onnx", "adapter"):
        return []
    how = preparation.lines(trained.family, trained.about["preprocessing"], task=trained.run.task, arrays=to == "onnx")
    return ["```python\n" + "\n".join(how) + "\n```"]


def _sizes(record: Mapping[str, Any]) -> str:
    known = record.get("provenance") or {}
    found = [f"{known[f'{part}_samples']:,} {part}" for part in ("train", "val", "test") if f"{part}_samples" in known]
    return f"{', '.join(found)}; " if found else ""


def _inputs(how: Mapping[str, Any], family: str) -> str:
    if family == "text":
        return f"the tokenizer beside the model, cut to {how.get('length')} tokens"
    mean, std = (", ".join(f"{v:.4g}" for v in how.get(key, ())) for key in ("mean", "std"))
    fit = "longer side resized, padded below and right with the mean" if family == "detection" else "centre cut out"
    side = "" if family == "detection" else "shorter side resized, "
    return f"{side}{fit}, {how.get('size')} px, values 0..1 less ({mean}) over ({std})"


def _scores(record: Mapping[str, Any], metric: str) -> str:
    test = (record.get("metrics") or {}).get("test") or {}
    rows = [f"| {name} | {value:.4g} | {_between(record, name)} |" for name, value in test.items() if value is not None]
    note = f"The headline metric is {metric}. Intervals: 95 %, bootstrap over the test samples of this one run."
    return "\n".join(["| on test | | 95 % |", "|---|---|---|", *rows, "", note])


def _between(record: Mapping[str, Any], name: str) -> str:
    found = of_record(record) if "outcomes" in record else None
    ends = between(found, name)
    return f"{ends[0]:.4g} to {ends[1]:.4g}" if ends else ""


def _costs(trained: Trained, record: Mapping[str, Any]) -> str:
    kept = readable(trained.path.stat().st_size)
    counted = record.get("parameters") or {}
    said = [f"kept weights {kept}"]
    if counted:
        said.append(f"{counted['backbone']:,} trained parameters of the backbone, {counted['head']:,} of the head")
    if (memory := (record.get("memory") or {}).get("peak")) is not None:
        said.append(f"training memory {readable(memory)} ({record['memory']['kind']})")
    if seconds := (record.get("time") or {}).get("train"):
        said.append(f"{seconds:.0f} s of training on {record['environment'].get('device_name', 'this machine')}")
    for name, latency in ((record.get("inference") or {}).get("latency") or {}).items():
        said.append(f"latency {name} {1000 * latency:.3g} ms")
    return "; ".join(said) + "."


def _licences(trained: Trained) -> str:
    model, task = trained.run.model, trained.run.task
    asset = getattr(model, "asset", None)
    weights = f"{ASSETS[asset].licence} ({asset})" if asset in ASSETS else "as its publisher says; not known here"
    data = ASSETS.get(getattr(task, "set", ""), None)
    known = f"{data.licence} ({task.name})" if data is not None else "your own, or as its publisher says"
    return f"Weights of {model.name}: {weights}. Data: {known}. A model trained on data may be bound by their licence."
