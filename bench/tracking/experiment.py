"""One study's experiment in MLflow: parents, runs and the report. Writing twice changes nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.tracking import artefacts, columns, entries, parents
from bench.tracking.client import artefact_root, connect, lock

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

PARENT = "mlflow.parentRunId"
LAYOUT = "2"
"""How records become runs and parents. What an older version of this package wrote is shown anew."""
ENDS = {"ok": "FINISHED", "pruned": "KILLED"}
"""MLflow's word for how a run ended; FAILED for all others."""
COMPLETE = ("FINISHED", "FAILED", "KILLED")


class Experiment:
    """The MLflow experiment of one study. Its methods raise what MLflow raises.

    Args:
        study: name of the study, and of the experiment.
        uri: an MLflow tracking URI; `number` is the experiment's id there.
    """

    def __init__(self, study: str, uri: str) -> None:
        self._uri = uri
        self._client = connect(uri)
        self._lock = lock(uri)
        with self._lock:
            self.number = _experiment_id(self._client, study, artefact_root(uri))
        self._digests: dict[str, str] = {}  # scale and run_id -> digest of the record shown in full
        self._parents: dict[str, str] = {}  # key of the parent -> MLflow's id
        for run in self._search():
            tags = run.data.tags
            if tags.get("kind") == "parent" and tags.get("layout") != LAYOUT:
                self._client.delete_run(run.info.run_id)  # its children come under others, one by one
            elif tags.get("kind") == "parent":
                self._parents[tags["group"]] = run.info.run_id
            elif "record" in tags and run.info.status in COMPLETE:
                self._digests[f"{tags['scale']} {tags['run_id']}"] = tags["record"]

    def answers(self) -> None:
        """Returns if MLflow still takes what it is given, so that what it refused is a matter of the record."""
        self._client.set_experiment_tag(self.number, "mlflow.answered", str(time.time()))

    def log(self, record: Mapping[str, Any]) -> bool:
        """Show one run, anew if its record changed or an earlier attempt was cut short.

        Returns:
            Whether there was anything to do.
        """
        run_id, scale = record["run_id"], record["scale"]
        key, digest = f"{scale} {run_id}", parents.digest([LAYOUT, record])
        if self._digests.get(key) == digest:
            return False
        with self._lock:  # a study and `bench mlflow ui` may log the same record at once
            there = False
            for run in self._search(f"tags.run_id = '{run_id}' and tags.scale = '{scale}'"):
                same = run.info.status in COMPLETE and run.data.tags.get("record") == digest
                if there or not same:
                    self._client.delete_run(run.info.run_id)
                there = there or same
            if not there:
                self._write(record, digest)
        self._digests[key] = digest
        return not there

    def summarise(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Show what is known so far of the parents of `records`, as metrics: MLflow lets no one change a parameter."""
        for key, summary in parents.summaries(records).items():
            if key in self._parents:
                run_id = self._parents[key]
                self._params(run_id, {}, _metrics(summary))
                self._end(run_id, summary)

    def report(
        self, folder: Path, records: Sequence[Mapping[str, Any]], question: str = ""
    ) -> Iterator[Callable[[], bool]]:
        """Steps that bring parents, figures and description up to date; each says whether there was anything to do.

        Args:
            folder: results/<study>/<scale>, with its table, figures and page.
            records: all in it.
            question: what the study asks; what its page says without.
        """
        files = artefacts.report(folder)
        yield partial(self._report, folder, files)
        for key, summary in parents.summaries(records).items():
            if key in self._parents:
                yield partial(self._complete, key, summary, artefacts.figures(files, summary.slug))
        yield partial(self._describe, folder, records, question)

    def log_model(self, folder: Path, run_id: str) -> str:
        """Logs a model that is written already, as one that its run has made. Returns MLflow's id of it.

        Args:
            folder: with MLflow's own files.
            run_id: of the record; of several in MLflow it is the last one's.
        """
        from mlflow.entities import LoggedModelOutput

        found = self._search(f"tags.run_id = '{run_id}'")
        source = max(found, key=lambda run: run.info.start_time or 0).info.run_id if found else None
        model = self._client.create_logged_model(
            self.number, name=run_id, source_run_id=source, tags={"run_id": run_id}, model_type="pyfunc"
        )
        self._client.log_model_artifacts(model.model_id, str(folder))
        self._client.finalize_logged_model(model.model_id, "READY")
        if source:
            self._client.log_outputs(source, [LoggedModelOutput(model.model_id, 0)])
        return str(model.model_id)

    def _complete(self, key: str, summary: parents.Summary, figures: Mapping[str, Path]) -> bool:
        """A parent with all that is known: a parameter that changed takes another run in its place."""
        with self._lock:
            run = self._client.get_run(self._parents[key])
            tags = run.data.tags
            if (anew := tags.get("summary") != summary.digest) and "summary" in tags:
                run = self._replaced(key, run, summary)
            run_id = run.info.run_id
            if anew:
                self._params(run_id, summary.params, _metrics(summary))
                self._end(run_id, summary)
                self._client.set_tag(run_id, "summary", summary.digest)
            shown = artefacts.digest(figures)
            if run.data.tags.get("figures") != shown:
                artefacts.put(self._client, run, figures, self._uri)
                self._client.set_tag(run_id, "figures", shown)
        return anew

    def _replaced(self, key: str, old: Run, summary: parents.Summary) -> Run:
        """A new parent with the children of the old one, which is gone."""
        kept = {name: value for name, value in old.data.tags.items() if name not in ("summary", "figures")}
        new = self._client.create_run(self.number, summary.begin, kept, old.info.run_name)
        self._params(new.info.run_id, summary.group)
        for child in self._search(f"tags.`{PARENT}` = '{old.info.run_id}'"):
            self._client.set_tag(child.info.run_id, PARENT, new.info.run_id)
        artefacts.clear(old, self._uri)
        self._client.delete_run(old.info.run_id)
        self._parents[key] = new.info.run_id
        return new

    def _report(self, folder: Path, files: Mapping[str, Path]) -> bool:
        """The table, figures and page of results/<study>/<scale>, in the run "report · <scale>"."""
        scale, digest = folder.name, artefacts.digest(files)
        with self._lock:
            found = self._search(f"tags.kind = 'report' and tags.scale = '{scale}'")
            if not files or (found and found[0].data.tags.get("files") == digest):
                return False
            tags = {"kind": "report", "scale": scale}
            run = found[0] if found else self._client.create_run(self.number, None, tags, f"report · {scale}")
            artefacts.put(self._client, run, files, self._uri)
            self._client.set_tag(run.info.run_id, "files", digest)
            self._client.set_terminated(run.info.run_id)
        return True

    def _describe(self, folder: Path, records: Sequence[Mapping[str, Any]], question: str) -> bool:
        """What stands above the list of runs: question, answer and where the page is, of every scale."""
        found = self._search(f"tags.kind = 'report' and tags.scale = '{folder.name}'")
        page = columns.page(self.number, found[0].info.run_id) if found else ""
        known = self._client.get_experiment(self.number).tags
        new = columns.description(folder, records, report=page, question=question, known=known)
        for name, value in new.items():
            if known.get(name) != value:
                self._client.set_experiment_tag(self.number, name, value)
        return False

    def _write(self, record: Mapping[str, Any], digest: str) -> None:
        from mlflow.entities import Metric

        begin, end = entries.span(record)
        tags, params = entries.tags(record), entries.params(record)  # before anything is written: it may be unreadable
        metrics = [Metric(*point) for point in entries.metrics(record)]
        tags |= {"record": digest, "layout": LAYOUT, PARENT: self._parent(record, begin)}
        run_id = self._client.create_run(self.number, begin, tags, entries.run_name(record)).info.run_id
        self._params(run_id, params, metrics[:800])
        for first in range(800, len(metrics), 800):  # one request takes 1,000 things
            self._client.log_batch(run_id, metrics=metrics[first : first + 800])
        # Last: a run that was never ended is one to write anew.
        self._client.set_terminated(run_id, ENDS.get(record["status"], "FAILED"), end)

    def _parent(self, record: Mapping[str, Any], begin: int | None) -> str:
        """MLflow's id of the run under which this one stands, made if there is none."""
        key, group = parents.key(record), entries.group(record)
        if key in self._parents:
            return self._parents[key]
        if found := self._search(f"tags.kind = 'parent' and tags.group = '{key}' and tags.layout = '{LAYOUT}'"):
            run = found[0]  # another process made it since
        else:
            named = {name: group[name] for name in ("task", "model", "method", "scale")}
            tags = {"kind": "parent", "group": key, "layout": LAYOUT, "study": str(record["study"]), **named}
            run = self._client.create_run(self.number, begin, tags, entries.group_name(record))
            self._params(run.info.run_id, group)
        self._parents[key] = run.info.run_id
        return self._parents[key]

    def _end(self, run_id: str, summary: parents.Summary) -> None:
        """Has a parent span its children, which come in any order."""
        start = self._client.get_run(run_id).info.start_time
        self._client.set_terminated(run_id, "FINISHED", max(summary.end or 0, start or 0))

    def _params(self, run_id: str, values: Mapping[str, str], metrics: Sequence[Metric] = ()) -> None:
        from mlflow.entities import Param

        params = [Param(key, value[:6000]) for key, value in values.items()]
        self._client.log_batch(run_id, metrics=metrics, params=params[:100])
        for first in range(100, len(params), 100):  # one request takes 100
            self._client.log_batch(run_id, params=params[first : first + 100])

    def _search(self, query: str = "") -> list[Run]:
        runs: list[Run] = []
        token: str | None = None
        while True:
            page = self._client.search_runs([self.number], query, max_results=1000, page_token=token)
            runs += page
            token = page.token
            if not token:
                return runs


def _metrics(summary: parents.Summary) -> list[Metric]:
    """Of several values MLflow shows that of the highest step: the one that knows most seeds."""
    from mlflow.entities import Metric

    return [Metric(name, value, summary.end or 0, summary.seeds) for name, value in summary.metrics.items()]


def _experiment_id(client: MlflowClient, study: str, root: Path | None) -> str:
    found = client.get_experiment_by_name(study)
    if found is None:
        location = (root / study).as_uri() if root else None
        return str(client.create_experiment(study, artifact_location=location, tags=columns.tags()))
    if found.lifecycle_stage != "active":
        client.restore_experiment(found.experiment_id)
    for name, value in columns.tags().items():
        if found.tags.get(name) != value:
            client.set_experiment_tag(found.experiment_id, name, value)
    return str(found.experiment_id)
