"""Optuna's storage, kept up with a study for Optuna's own tools. Nothing is decided by it: the records are the truth.

A storage that does not hold just what is recorded is filled anew when a study begins; one that fails in the middle is
tried for a while, then left alone until the next call.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

import optuna
from optuna.study import StudyDirection
from optuna.trial import TrialState

from bench.errors import scrubbed
from bench.execution.samplers import quiet
from bench.space import distribution
from bench.study.trials import Trial, Trials

PATIENCE = 60.0
"""Seconds for which a storage that fails is tried again: as long as a server takes to start anew."""
NUMBER = "number"  # of a trial in our budget; Optuna's own number counts interrupted attempts too
STATES = {"ok": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}  # else PRUNED, valueless
T = TypeVar("T")


class Mirror:
    """Optuna's storage for all searches of a study.

    Args:
        storage: Optuna's.
        place: what tells this results folder from others that share the storage; "" if none does.
        said: takes a line for the person who waits.
    """

    def __init__(
        self, storage: optuna.storages.BaseStorage, *, place: str = "", said: Callable[[str], None] = print
    ) -> None:
        self.storage, self.place, self.said, self.gone = storage, place, said, False
        self.ids: dict[tuple[str, int], int] = {}
        self.studies: dict[str, int] = {}

    def opened(self, trials: Trials) -> None:
        """The search with the trials that are recorded, no more and no less; made anew where it has others."""
        self._try(lambda: self._open(trials))

    def began(self, trials: Trials, trial: Trial) -> None:
        """A trial runs; one that went on already is the same."""
        key = trials.name, trial.number
        if key not in self.ids and trials.name in self.studies:
            running = _frozen(trials, trial, TrialState.RUNNING)
            made = self._try(lambda: self.storage.create_new_trial(self.studies[trials.name], running))
            if made is not None:
                self.ids[key] = made

    def reached(self, trials: Trials, trial: Trial, step: int, score: float) -> None:
        """A trial has got to a step."""
        if (found := self.ids.get((trials.name, trial.number))) is not None:
            self._try(lambda: self.storage.set_trial_intermediate_value(found, step, score))

    def ended(self, trials: Trials, trial: Trial, status: str) -> None:
        """A trial is over."""
        found = self.ids.pop((trials.name, trial.number), None)
        if found is None:
            return
        state, score = STATES.get(status, TrialState.PRUNED), trial.mean(trials.metric)
        values = [score] if state == TrialState.COMPLETE and score is not None else None
        self._try(lambda: self.storage.set_trial_user_attr(found, "status", status))
        self._try(lambda: self.storage.set_trial_state_values(found, state, values))

    def _open(self, trials: Trials) -> None:
        name = f"{trials.name} {self.place}".strip()
        there = {study.study_name: study._study_id for study in self.storage.get_all_studies()}
        recorded = {k: t for k, t in trials.found.items() if trials.status(t) not in (None, "failed")}
        if name in there:
            known = self.storage.get_all_trials(there[name], deepcopy=False)
            numbers = [t.user_attrs.get(NUMBER, -1) if t.state.is_finished() else -1 for t in known]
            failed = [number for number, t in zip(numbers, known, strict=True) if t.state == TrialState.FAIL]
            if sorted(numbers) == sorted([*recorded, *failed]) and -1 not in numbers:
                self.studies[trials.name] = there[name]
                return
            self.storage.delete_study(there[name])
        direction = StudyDirection.MAXIMIZE if trials.sign > 0 else StudyDirection.MINIMIZE
        made = self.storage.create_new_study([direction], name)
        for number in sorted(recorded):
            state = STATES.get(str(trials.status(recorded[number])), TrialState.PRUNED)
            self.storage.create_new_trial(made, _frozen(trials, recorded[number], state))
        self.studies[trials.name] = made

    def _try(self, work: Callable[[], T]) -> T | None:
        """Does something with the storage, if need be for `PATIENCE` seconds; then says so, and no more is tried."""
        begun, pause = time.monotonic(), 0.1
        while not self.gone:
            try:
                with quiet():
                    return work()
            except optuna.exceptions.UpdateFinishedTrialError:
                return None  # done by an attempt whose answer was lost
            except Exception as error:  # of SQLAlchemy, a driver, a file system, Optuna: whatever the storage is
                self.gone = time.monotonic() - begun + pause > PATIENCE
                if self.gone:
                    self.said(self._lost(error))
                    return None
            time.sleep(pause)
            pause = min(2 * pause, 5.0)
        return None

    def _lost(self, error: Exception) -> str:
        cause = error.__cause__ or error
        url = str(getattr(getattr(self.storage, "_backend", self.storage), "url", ""))  # its driver may quote it
        brief = scrubbed(" ".join(str(cause).split()) or type(cause).__name__, url)[:160]
        return (
            f"Optuna's storage failed for {PATIENCE:g} s ({brief}): the study goes on without it; nothing is lost, and "
            "the next call fills it from the records"
        )


def _frozen(trials: Trials, trial: Trial, state: TrialState) -> optuna.trial.FrozenTrial:
    status = trials.status(trial)
    about: dict[str, Any] = {NUMBER: trial.number} | ({"status": status} if state.is_finished() else {})
    return optuna.trial.create_trial(
        state=state,
        value=trial.mean(trials.metric) if state == TrialState.COMPLETE else None,
        params=trial.drawn,
        distributions={key: distribution(one.config) for key, one in trials.space.items()},
        intermediate_values=trials.steps(trial) if status in (None, "ok", "pruned") else {},
        user_attrs=about,
    )
