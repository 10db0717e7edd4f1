"""Optuna's side of tuning: which values a trial gets, and whether it goes on.

The records are the truth: a storage that lacks trials which are recorded is given them, so that a fresh clone, a lost
storage and a killed study go on alike. One process asks and tells; its workers only train (`bench/workers.py`).
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import math
import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState

from bench.errors import BadInput
from bench.ledger import Record
from bench.space import Choice, Range
from bench.trials import Trial, Trials

JOURNAL = "optuna.journal"
"""The storage where nobody names another: a file beside the records, which can be made again from them."""
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


class Search:
    """One Optuna study: the trials of one method on a model and a task.

    Args:
        trials: what is recorded of it, and where new results go.
        storage: Optuna's.
        parallel: whether several trials may run at once.
    """

    def __init__(self, trials: Trials, storage: optuna.storages.BaseStorage, *, parallel: bool = False) -> None:
        self.trials, self.tune, self.parallel = trials, trials.study.tune, parallel
        self.epochs = trials.study.training.epochs
        self.space = {key: _distribution(one) for key, one in trials.space.items()}
        self.running: dict[int, Trial] = {}
        self.asked: dict[int, optuna.trial.Trial] = {}
        self.over: set[int] = set()
        with _quiet():
            self.optuna = optuna.create_study(
                storage=storage,
                study_name=trials.name,
                load_if_exists=True,
                direction="maximize" if trials.sign > 0 else "minimize",
                pruner=self._pruner(),
            )
            self._reconcile()

    @property
    def independent(self) -> bool:
        """Whether a trial depends on no other, so that any number may run at once with the same result."""
        return self.tune.pruner == "none" and self.tune.sampler in ("grid", "random", "qmc")

    @property
    def done(self) -> bool:
        """Whether every trial of the budget has ended, in this call or before."""
        return not self.running and not [k for k in self.trials.open if k not in self.over]

    def take(self) -> Trial | None:
        """The next trial to run, with its values; None while those that are left run already."""
        todo = [k for k in self.trials.open if k not in self.running and k not in self.over]
        if not todo:
            return None
        number = todo[0]
        known = self.trials.found.get(number)
        with _quiet():
            asked = self.asked.get(number) or self._ask(number, known.params if known else None)
        trial = known or Trial(number, {key: _short(value) for key, value in asked.params.items()})
        self.trials.found[number], self.running[number], self.asked[number] = trial, trial, asked
        return trial

    def seed(self, trial: Trial) -> int:
        """The tuning seed that a trial runs next."""
        return next(seed for seed in self.tune.seeds if seed not in trial.records)

    def report(self, trial: Trial, seed: int, epoch: int, curve: list[dict[str, float]]) -> str | None:
        """Tells Optuna of an epoch: the best validation score so far, a mean over the seeds so far.

        Returns:
            Why the trial should end here; None if it should not.
        """
        metric, sign = self.trials.metric, self.trials.sign
        own = [sign * scores[metric] for scores in curve if metric in scores]
        before = [record["metrics"]["val"][metric] for record in trial.records.values()]
        if not own:
            return None
        step = len(trial.records) * self.epochs + epoch
        asked = self.asked[trial.number]
        with _quiet():
            asked.report((sum(before) + sign * max(own)) / (len(before) + 1), step)
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
        self.over.add(trial.number)
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
        if values is None and self.trials.grid is not None:
            values = self.trials.grid[number]
        elif values is None and number == 0:
            values = self.trials.default
        if values is not None:
            self.optuna.enqueue_trial(values)
        self.optuna.sampler = self._sampler(number)
        asked = self.optuna.ask(self.space)
        asked.set_user_attr(NUMBER, number)
        return asked

    def _reconcile(self) -> None:
        """Brings the storage to what is recorded: adds what it lacks, ends what a killed process left open."""
        there = set()
        for frozen in self.optuna.get_trials(deepcopy=False):
            if frozen.state == TrialState.WAITING:
                self.optuna.tell(self.optuna.ask(), state=TrialState.FAIL)
            elif frozen.state == TrialState.RUNNING:
                self._interrupted(frozen)
                self.optuna.tell(frozen.number, state=TrialState.FAIL)
            elif frozen.state != TrialState.FAIL:
                there.add(frozen.user_attrs.get(NUMBER))
        for number, trial in sorted(self.trials.found.items()):
            status = self.trials.status(trial)
            if status not in (None, "failed") and number not in there:
                self.optuna.add_trial(self._recorded(trial, str(status)))

    def _interrupted(self, trial: optuna.trial.FrozenTrial) -> None:
        """The values of a trial that a killed process was at: it is taken up again with them."""
        number = trial.user_attrs.get(NUMBER)
        if number is not None and number not in self.trials.found and set(trial.params) == set(self.space):
            self.trials.found[number] = Trial(number, {key: _short(value) for key, value in trial.params.items()})

    def _recorded(self, trial: Trial, status: str) -> optuna.trial.FrozenTrial:
        steps: dict[int, float] = {}
        best: list[float] = []
        for at, record in enumerate(trial.records.values()):
            curve = [row["val"].get(self.trials.metric) for row in record["curve"]]
            for epoch, score in enumerate(curve, 1):
                if score is not None:
                    so_far = self.trials.sign * max(self.trials.sign * s for s in curve[:epoch] if s is not None)
                    steps[at * self.epochs + epoch] = (sum(best) + so_far) / (len(best) + 1)
            best.append((record["metrics"].get("val") or {}).get(self.trials.metric) or 0.0)
        return optuna.trial.create_trial(
            state=TrialState.COMPLETE if status == "ok" else TrialState.PRUNED,
            value=trial.mean(self.trials.metric) if status == "ok" else None,
            params=trial.params,
            distributions=self.space,
            intermediate_values=steps if status in ("ok", "pruned") else {},
            user_attrs={NUMBER: trial.number, "status": status},
        )

    def _sampler(self, number: int) -> optuna.samplers.BaseSampler:
        """Drawn anew for every trial, from its number: a study that was interrupted goes on with the same values."""
        seed = int.from_bytes(hashlib.sha256(f"{self.trials.name} {number}".encode()).digest()[:4], "big")
        match self.tune.sampler:
            case "tpe":
                first = max(2, min(10, self.tune.trials // 2))
                return optuna.samplers.TPESampler(n_startup_trials=first, constant_liar=self.parallel, seed=seed)
            case "qmc":  # one sequence, whose place is kept in the storage
                return optuna.samplers.QMCSampler(scramble=True, seed=self._fixed_seed())
            case "cmaes":
                return optuna.samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False)
        return optuna.samplers.RandomSampler(seed=seed)

    def _fixed_seed(self) -> int:
        return int(hashlib.sha256(self.trials.name.encode()).hexdigest()[:8], 16)

    def _pruner(self) -> optuna.pruners.BasePruner:
        steps = self.epochs * len(self.tune.seeds)
        match self.tune.pruner:
            case "median":
                first = max(3, min(5, self.tune.trials // 3))
                return optuna.pruners.MedianPruner(n_startup_trials=first, n_warmup_steps=math.ceil(steps / 3))
            case "hyperband":
                return optuna.pruners.HyperbandPruner(min_resource=1, max_resource=steps)
        return optuna.pruners.NopPruner()


def _short(value: Any) -> Any:
    """A value that can be read and written down: four digits are more than any curve can tell apart."""
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _distribution(space: Range | Choice) -> BaseDistribution:
    if isinstance(space, Range):
        return FloatDistribution(space.low, space.high, log=space.log)
    return CategoricalDistribution(space.values)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without Optuna's notes that some of its parts are experimental."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=optuna.exceptions.ExperimentalWarning)
        warnings.filterwarnings("ignore", module="optuna")
        yield
