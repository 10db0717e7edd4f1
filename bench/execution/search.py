"""Tuning as it goes on: which trial is next, with which values, and whether it goes on; and Optuna's storage.

One process asks and tells; its workers only train (`bench.execution.executor`).
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from pathlib import Path

import optuna

from bench.errors import BadInput, masked, scrubbed
from bench.execution.optuna_storage import Mirror
from bench.execution.samplers import WHY, Proposals, quiet, spent
from bench.records import JOURNAL
from bench.study.recording import Record
from bench.study.trials import Trial, Trials

_log = logging.getLogger(__name__)


def storage(url: str | None, folder: Path) -> optuna.storages.BaseStorage:
    """Optuna's storage: the journal file in `folder`, or a database by its SQLAlchemy URL.

    Raises:
        BadInput: it cannot be reached, or another version of Optuna made it.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if url is None:
        return _journal(Path(folder) / JOURNAL)
    shown = masked(url)
    try:
        with quiet():
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
        brief = scrubbed(text, url)[:160]  # in this order: nothing knows half a password again
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
        with quiet():
            return opened()
    except OSError as error:
        raise BadInput(f"cannot use {path} ({error.strerror}): make the folder writable or choose another") from None
    except Exception as error:  # a line that a kill or a full disk cut short: the records hold all that was in it
        os.replace(path, path.with_name(f"{path.name}.corrupt"))
        _log.warning("%s is unusable (%s): set aside, and made again from the records", path, type(error).__name__)
        with quiet():
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
    """The trials of one method on a model and a task, as they go on.

    Args:
        trials: what is recorded of it, and where new results go.
        mirror: Optuna's storage, for its own tools; nothing is kept for them without.
    """

    def __init__(self, trials: Trials, mirror: Mirror | None = None) -> None:
        self.trials, self.tune, self.mirror = trials, trials.study.tune, mirror
        self.epochs = trials.study.training.epochs
        self.running: dict[int, Trial] = {}
        self.proposals = Proposals(trials)
        if mirror is not None:
            mirror.opened(trials)

    @property
    def done(self) -> bool:
        """Whether nothing is left to run: every trial has ended, or those to come wait for one that failed."""
        return not self.running and self._next() is None

    @property
    def at_once(self) -> int:
        """How many trials may run side by side at most."""
        return min(self.tune.trials, self.tune.trials if self.tune.independent else self.tune.batch)

    def take(self) -> Trial | None:
        """The next trial to run, with its values; None while those that are left run already, or wait for them."""
        number = self._next()
        if number is None:
            return None
        drawn = self.proposals.drawn(number)
        short = {key: self.trials.space[key].short(value) for key, value in drawn.items()}
        trial = self.trials.found.setdefault(number, Trial(number, short, drawn))
        self.running[number] = trial
        if self.mirror is not None:
            self.mirror.began(self.trials, trial)
        return trial

    def _next(self) -> int | None:
        may = self.proposals.batch
        return next((k for k in self.trials.open if k in may and k not in self.running), None)

    def seed(self, trial: Trial) -> int:
        """The tuning seed that a trial runs next."""
        return next(seed for seed in self.tune.seeds if seed not in trial.records)

    def report(self, trial: Trial, seed: int, epoch: int, curve: list[dict[str, float]]) -> str | None:
        """Takes up an epoch: the score at the best epoch so far, a mean over the seeds so far.

        Returns:
            Why the trial should end here; None if it should not.
        """
        steps = self.trials.steps(trial, curve)
        step = len(trial.records) * self.epochs + epoch
        if step not in steps:
            return None
        if self.mirror is not None:
            self.mirror.reached(self.trials, trial, step, steps[step])
        if not self.proposals.gives_up(trial.number, steps, spent(self.trials, trial, curve)):
            return None
        return f"after epoch {epoch} of {self.epochs}: {WHY[self.tune.pruner]}"

    def ended(self, trial: Trial, record: Record) -> None:
        """Takes the record of a trial's run; unless another tuning seed is to run, the trial has ended with it."""
        trial.records[record["seed"]] = record
        del self.running[trial.number]
        status = self.trials.status(trial)
        if status is None:
            return
        if self.mirror is not None:
            self.mirror.ended(self.trials, trial, status)
        self.proposals.advance()
