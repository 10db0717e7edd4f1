"""Shows a study in MLflow while it runs, and never stops it."""

from __future__ import annotations

import contextlib
import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.errors import masked
from bench.records import Records
from bench.tracking import parents
from bench.tracking.client import brief, database
from bench.tracking.deadline import Worker
from bench.tracking.experiment import Experiment

GIVE_UP_AFTER = 3  # errors in a row: a server that fails must not cost a study one time-out per run
OPENING = {True: 90.0, False: 20.0}
"""Seconds for the first call: to a file, whose tables it may have to make on a busy machine, or to a server."""
CALL = 20.0
"""Seconds for any other call as a whole, however often the server gives a sign of life."""
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
        self._worker = Worker()
        self._refused: set[str] = set()  # by their run_id
        self._experiment: Experiment | None = None
        self._shown: dict[str, list[Mapping[str, Any]]] = defaultdict(list)  # by parent, for its summary
        with self._watched("cannot be reached"):
            self._experiment = self._worker.call(Experiment, study, uri, within=OPENING[database(uri) is not None])

    @property
    def enabled(self) -> bool:
        """Whether runs are still shown; False once MLflow proved out of reach."""
        return self._experiment is not None and self._errors < GIVE_UP_AFTER and not self._worker.hangs

    def log(self, record: Mapping[str, Any]) -> None:
        """Show one finished run; does nothing if it is shown already, or MLflow is out of reach."""
        if self._experiment is None or not self.enabled:
            return
        with self._watched("did not take a run"):
            self._refused.add(record["run_id"])
            self._worker.call(self._experiment.log, record, within=CALL)
            self._refused.remove(record["run_id"])
            if record["phase"] in ("final", "reference", "costs"):
                shown = self._shown[parents.key(record)]
                shown.append(record)
                self._worker.call(self._experiment.summarise, shown, within=CALL)

    def artefacts(self, folder: Path, question: str = "") -> None:
        """Show the table, figures and page in results/<study>/<scale>, and what is known of each configuration.

        Args:
            folder: results/<study>/<scale>.
            question: what the study asks; what its page says without.
        """
        if self._experiment is None or not self.enabled:
            return
        steps: Iterator[Any] = iter(())
        with self._watched("did not take the figures"):
            taken = [record for record in Records(Path(folder)).all() if record["run_id"] not in self._refused]
            steps = self._experiment.report(Path(folder), taken, question)
        while self.enabled:
            with self._watched("did not take the figures"):
                if (step := next(steps, None)) is None:
                    break
                self._worker.call(step, within=CALL)

    @contextlib.contextmanager
    def _watched(self, what: str) -> Iterator[None]:
        try:
            yield
            self._errors = 0
        except Exception as error:  # of MLflow, SQLAlchemy, requests, a missing driver: the study goes on
            if not self._record_alone():
                self._errors += 1
            if not self._warned:
                later = "the study runs on, `bench mlflow sync` logs it later"
                _log.warning("MLflow at %s %s (%s): %s", masked(self.uri), what, brief(error, self.uri), later)
            self._warned = True

    def _record_alone(self) -> bool:
        """Whether MLflow answers all the same, so that one record is to blame and not all."""
        if self._experiment is None or self._worker.hangs:
            return False
        try:
            self._worker.call(self._experiment.answers, within=CALL)
        except Exception:
            return False
        return True
