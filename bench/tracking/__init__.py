"""MLflow observes: experiment = study, parent run = method on a task, children = runs, all made from records.

Whatever MLflow shows can be thrown away and made again (`sync`). Nothing here stops a study: a server that
cannot be reached costs a few seconds and one line. MLflow is imported when it is first needed (a second).

- entries: what is shown of a record: names, parameters, tags, metrics. chosen: the chosen values. Both plain data.
- experiment: one study's experiment: parents, runs, report. server: MLflow's web page.
"""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.errors import BadInput
from bench.records import Records
from bench.tracking.entries import started
from bench.tracking.experiment import Experiment, brief, shown, uri
from bench.tracking.server import serve

__all__ = ["Experiment", "Tracker", "sync", "ui", "uri"]

GIVE_UP_AFTER = 3  # errors in a row: a server that hangs must not cost a study one time-out per run
_log = logging.getLogger(__name__)


class Tracker:
    """Shows the runs of one study in MLflow as they are made; its failures are one warning, never an error.

    Args:
        study: name of the study, and of its MLflow experiment.
        uri: an MLflow tracking URI, as `uri()` gives it.
    """

    def __init__(self, study: str, uri: str) -> None:
        self.uri = uri
        self._errors = 0
        self._warned = False
        self._experiment: Experiment | None = None
        with self._watched("cannot be reached"):
            self._experiment = Experiment(study, uri)

    @property
    def enabled(self) -> bool:
        """Whether runs are still shown; False once MLflow proved out of reach."""
        return self._experiment is not None and self._errors < GIVE_UP_AFTER

    def log(self, record: Mapping[str, Any]) -> None:
        """Show one finished run; does nothing if it is shown already, or MLflow is out of reach."""
        if self._experiment is not None and self.enabled:
            with self._watched("did not take a run"):
                self._experiment.log(record)

    def artefacts(self, folder: Path) -> None:
        """Show the table, figures and page in results/<study>/<scale>, in place of those shown before."""
        if self._experiment is not None and self.enabled:
            with self._watched("did not take the figures"):
                self._experiment.artefacts(folder)

    @contextlib.contextmanager
    def _watched(self, what: str) -> Iterator[None]:
        try:
            yield
            self._errors = 0
        except Exception as error:  # of MLflow, SQLAlchemy, requests, a missing driver: the study goes on
            self._errors += 1
            if not self._warned:
                later = "the study runs on, `bench mlflow sync` logs it later"
                _log.warning("MLflow at %s %s (%s): %s", shown(self.uri), what, brief(error), later)
            self._warned = True


def sync(results: Path, uri: str) -> Counter[str]:
    """Show every record, table and figure under `results` in MLflow; what is there already is left alone.

    Args:
        results: the folder that holds <study>/<scale>/runs.
        uri: an MLflow tracking URI, as `uri()` gives it.

    Returns:
        How many runs were "logged" or "present" already, and how many "reports" were brought up to date.

    Raises:
        BadInput: MLflow cannot be reached.
    """
    from tqdm import tqdm

    counts: Counter[str] = Counter(logged=0, present=0, reports=0)
    folders = sorted(runs.parent for runs in Path(results).glob("*/*/runs"))
    records = {folder: sorted(Records(folder).all(), key=started) for folder in folders}
    bar = tqdm(total=sum(map(len, records.values())), desc="MLflow", unit="run", disable=None, leave=False)
    experiments: dict[str, Experiment] = {}
    try:
        for folder in folders:
            study = folder.parent.name
            if study not in experiments:
                experiments[study] = Experiment(study, uri)
            for record in records[folder]:
                counts["logged" if experiments[study].log(record) else "present"] += 1
                bar.update()
            counts["reports"] += experiments[study].artefacts(folder)
    except Exception as error:
        raise BadInput(f"MLflow at {shown(uri)} cannot be used: {brief(error)}") from error
    finally:
        bar.close()
    return counts


def ui(results: Path, uri: str, *, host: str = "127.0.0.1", port: int = 5000) -> None:
    """Sync `results`, then serve MLflow's page until Ctrl-C.

    Args:
        results: the folder that holds <study>/<scale>/runs.
        uri: an MLflow tracking URI, as `uri()` gives it.
        host: the interface to listen on.
        port: the first port to try; if it is taken, one of the next is used.

    Raises:
        BadInput: MLflow cannot be reached or started.
    """
    counts = sync(results, uri)
    total, new = counts["logged"] + counts["present"], counts["logged"]
    print(f"MLflow has {total} runs from {results}, {new} of them new", flush=True)
    studies = sorted({runs.parent.parent.name for runs in Path(results).glob("*/*/runs")})
    serve(uri, host=host, port=port, studies={study: Experiment(study, uri).number for study in studies})
