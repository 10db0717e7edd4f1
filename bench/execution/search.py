"""Optuna's side of tuning: which values a trial gets, and whether it goes on.

The records are the truth: a storage that does not hold just what is recorded is filled anew, so that a fresh clone, a
lost storage and a killed study go on. One process asks and tells; its workers (`bench/execution/workers.py`) only
train.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import math
import os
import re
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from optuna.study import StudyDirection
from optuna.trial import TrialState

from bench.errors import BadInput
from bench.records import JOURNAL
from bench.space import distribution
from bench.study.recording import Record
from bench.study.trials import Trial, Trials

NUMBER = "number"  # of a trial in our budget; Optuna's own number counts interrupted attempts too
_log = logging.getLogger(__name__)


def storage(url: str | None, folder: Path) -> optuna.storages.BaseStorage:
    """Optuna's storage: the journal file in `folder`, or a database by its SQLAlchemy URL.

    Raises:
        BadInput: it cannot be reached, or another version of Optuna made it.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if url is None:
        return _journal(Path(folder) / JOURNAL)
    shown = re.sub(r"(://[^/@:]*):[^/@]*@", r"\1:***@", url)
    try:
        with _quiet():
            found = optuna.storages.get_storage(url)
            found.get_all_studies()
        return found
    except Exception as error:  # of SQLAlchemy, a driver, Optuna: whatever the database is
        text = " ".join(str(error).split()) or type(error).__name__
        if "optuna storage upgrade" in text or "compatible" in text:
            raise BadInput(
                f"storage {shown} is of another version of Optuna: upgrade it with `optuna storage upgrade --storage "
                "URL`, or name a new one"
            ) from None
        brief = text.replace(url, shown)[:160]
        raise BadInput(f"storage {shown} cannot be used ({brief}): name one that can be reached") from None


def _journal(path: Path) -> optuna.storages.BaseStorage:
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    def opened() -> optuna.storages.BaseStorage:
        # An open lock, not a link, which some file systems lack; one that a killed process left is stale at once,
        # since only one process works on a folder.
        Path(f"{path}.lock").unlink(missing_ok=True)
        _whole_lines(path)
        return optuna.storages.JournalStorage(JournalFileBackend(str(path), lock_obj=JournalFileOpenLock(str(path))))

    try:
        with _quiet():
            return opened()
    except OSError as error:
        raise BadInput(f"cannot use {path} ({error.strerror}): make the folder writable or choose another") from None
    except Exception as error:  # a line that a kill or a full disk cut short: the records hold all that was in it
        os.replace(path, path.with_name(f"{path.name}.corrupt"))
        _log.warning("%s is unusable (%s): set aside, and made again from the records", path, type(error).__name__)
        with _quiet():
            return opened()


def _whole_lines(path: Path) -> None:
    """Cuts off a last line that a kill or a full disk left torn: Optuna would write the next one behind it.

    Raises:
        ValueError: another line is none of a journal.
    """
    with contextlib.suppress(FileNotFoundError), open(path, "r+b") as file:
        content = file.read()
        file.truncate(content.rfind(b"\n") + 1)
        for line in content.splitlines()[: content.count(b"\n")]:
            json.loads(line)


class Search:
    """One Optuna study: the trials of one method on a model and a task.

    Args:
        trials: what is recorded of it, and where new results go.
        storage: Optuna's.
        parallel: whether several trials may run at once.
        place: what tells this results folder from others that share the storage; "" if none does.
    """

    def __init__(
        self, trials: Trials, storage: optuna.storages.BaseStorage, *, parallel: bool = False, place: str = ""
    ) -> None:
        self.trials, self.tune, self.parallel = trials, trials.study.tune, parallel
        self.epochs = trials.study.training.epochs
        self.space = {key: distribution(one.config) for key, one in trials.space.items()}
        self.running: dict[int, Trial] = {}
        self.asked: dict[int, optuna.trial.Trial] = {}
        with _quiet():
            self.optuna = self._opened(storage, f"{trials.name} {place}".strip())

    @property
    def independent(self) -> bool:
        """Whether a trial depends on no other, so that any number may run at once with the same result."""
        return self.tune.pruner == "none" and self.tune.sampler in ("grid", "random", "qmc")

    @property
    def done(self) -> bool:
        """Whether every trial of the budget has ended, in this call or before."""
        return not self.running and not self.trials.open

    def take(self) -> Trial | None:
        """The next trial to run, with its values; None while those that are left run already."""
        todo = [k for k in self.trials.open if k not in self.running]
        if not todo:
            return None
        number = todo[0]
        known = self.trials.found.get(number)
        with _quiet():
            asked = self.asked.get(number) or self._ask(number, known.drawn if known else None)
        short = {key: self.trials.space[key].short(value) for key, value in asked.params.items()}
        trial = known or Trial(number, short, dict(asked.params))
        self.trials.found[number], self.running[number], self.asked[number] = trial, trial, asked
        return trial

    def seed(self, trial: Trial) -> int:
        """The tuning seed that a trial runs next."""
        return next(seed for seed in self.tune.seeds if seed not in trial.records)

    def report(self, trial: Trial, seed: int, epoch: int, curve: list[dict[str, float]]) -> str | None:
        """Tells Optuna of an epoch: the score at the best epoch so far, a mean over the seeds so far.

        Returns:
            Why the trial should end here; None if it should not.
        """
        scores = [*([row["val"] for row in record["curve"]] for record in self._ended(trial)), curve]
        so_far = self._so_far(scores)
        if so_far is None:
            return None
        step = len(trial.records) * self.epochs + epoch
        asked = self.asked[trial.number]
        with _quiet():
            asked.report(so_far, step)
            if step == len(self.tune.seeds) * self.epochs or not asked.should_prune():
                return None
        end = {"median": "below the median of earlier trials", "hyperband": "given up by Hyperband"}
        return f"after epoch {epoch} of {self.epochs}: {end[self.tune.pruner]}"

    def ended(self, trial: Trial, record: Record) -> None:
        """Takes the record of a trial's run; unless another tuning seed is to run, the trial has ended with it."""
        trial.records[record["seed"]] = record
        del self.running[trial.number]
        status = self.trials.status(trial)
        if status is None:
            return
        asked = self.asked.pop(trial.number)
        with _quiet():
            asked.set_user_attr("status", status)
            if status == "ok":
                self.optuna.tell(asked, trial.mean(self.trials.metric))
            else:
                self.optuna.tell(asked, state=TrialState.PRUNED if status == "pruned" else TrialState.FAIL)
            if status in ("diverged", "out_of_memory"):
                # Samplers take no notice of what failed and would go on asking for its like: beside it stands a trial
                # pruned before its first value, than which none is worse.
                self.optuna.add_trial(self._recorded(trial, status))

    def _ask(self, number: int, values: dict[str, Any] | None) -> optuna.trial.Trial:
        values = values or self.trials.given(number)
        if values is not None:
            self.optuna.enqueue_trial(values)
        self.optuna.sampler = self._sampler(number)
        asked = self.optuna.ask(self.space)
        asked.set_user_attr(NUMBER, number)
        if number in self.trials.found:  # with a seed that ran before the study was interrupted
            for step, value in self._steps(self.trials.found[number]).items():
                asked.report(value, step)
        return asked

    def _opened(self, storage: optuna.storages.BaseStorage, name: str) -> optuna.Study:
        """The Optuna study with the trials that are recorded, no more and no less; made anew where it has others."""
        direction = StudyDirection.MAXIMIZE if self.trials.sign > 0 else StudyDirection.MINIMIZE
        make = partial(
            optuna.create_study, storage=storage, study_name=name, direction=direction, pruner=self._pruner()
        )
        study = make(load_if_exists=True)
        found = [(number, str(self.trials.status(trial)), trial) for number, trial in self.trials.found.items()]
        recorded = {number: trial for number, status, trial in found if status not in ("None", "failed")}
        there = [t for t in study.get_trials(deepcopy=False) if t.state != TrialState.FAIL]
        numbers = sorted(t.user_attrs.get(NUMBER, -1) if t.state.is_finished() else -1 for t in there)
        if numbers == sorted(recorded):
            return study
        optuna.delete_study(study_name=name, storage=storage)
        study = make()
        for number in sorted(recorded):
            study.add_trial(self._recorded(recorded[number], str(self.trials.status(recorded[number]))))
        return study

    def _ended(self, trial: Trial) -> list[Record]:
        """The records of a trial's runs, in the order of the tuning seeds."""
        return [trial.records[seed] for seed in self.tune.seeds if seed in trial.records]

    def _so_far(self, curves: list[list[dict[str, float]]]) -> float | None:
        """Mean over runs of the score at the best epoch so far, as a run itself chooses it; None without a number."""
        metric, headline, found = self.trials.metric, self.trials.cell.task.metric, []
        for curve in curves:
            known = [s for s in curve if all(math.isfinite(s.get(key) or 0.0) for key in (headline, metric, "loss"))]
            known = [s for s in known if s.get(headline) is not None and s.get(metric) is not None]
            if not known:
                return None
            found.append(max(known, key=lambda s: (s[headline], -s.get("loss", 0.0)))[metric])
        return sum(found) / len(found)

    def _steps(self, trial: Trial) -> dict[int, float]:
        """What was reported after every epoch of a trial's runs."""
        curves = [[row["val"] for row in record["curve"]] for record in self._ended(trial)]
        steps = {}
        for at, curve in enumerate(curves):
            for epoch in range(1, len(curve) + 1):
                so_far = self._so_far([*curves[:at], curve[:epoch]])
                if so_far is not None:
                    steps[at * self.epochs + epoch] = so_far
        return steps

    def _recorded(self, trial: Trial, status: str) -> optuna.trial.FrozenTrial:
        return optuna.trial.create_trial(
            state=TrialState.COMPLETE if status == "ok" else TrialState.PRUNED,
            value=trial.mean(self.trials.metric) if status == "ok" else None,
            params=trial.drawn,
            distributions=self.space,
            intermediate_values=self._steps(trial) if status in ("ok", "pruned") else {},
            user_attrs={NUMBER: trial.number, "status": status},
        )

    def _sampler(self, number: int) -> optuna.samplers.BaseSampler:
        """Seeded anew for every trial, by its number: an interrupted study goes on as it would have (see `Tune`)."""
        seed = int.from_bytes(hashlib.sha256(f"{self.trials.name} {number}".encode()).digest()[:4], "big")
        match self.tune.sampler:
            case "tpe":
                first = max(2, min(10, self.tune.trials // 2))
                return optuna.samplers.TPESampler(n_startup_trials=first, constant_liar=self.parallel, seed=seed)
            case "cmaes":
                return optuna.samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False)
        return optuna.samplers.RandomSampler(seed=seed)

    def _pruner(self) -> optuna.pruners.BasePruner:
        steps = self.epochs * len(self.tune.seeds)
        match self.tune.pruner:
            case "median":
                first = max(3, min(5, self.tune.trials // 3))
                return optuna.pruners.MedianPruner(n_startup_trials=first, n_warmup_steps=math.ceil(steps / 3))
            case "hyperband":
                return optuna.pruners.HyperbandPruner(min_resource=1, max_resource=steps)
        return optuna.pruners.NopPruner()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without Optuna's notes that some of its parts are experimental."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=optuna.exceptions.ExperimentalWarning)
        warnings.filterwarnings("ignore", module="optuna")
        yield
