"""Which values the trials of a search get, and which of them end early: from completed batches alone, by Optuna.

Optuna's study lives in memory and is made again from the records at every start, in the order of the trials' numbers.
So neither the number of workers, nor which of them is the quicker, nor a kill, nor a lost storage changes a choice.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import optuna
from optuna.study import StudyDirection
from optuna.trial import TrialState

from bench.space import distribution
from bench.study.trials import Trial, Trials

WHY = {
    "median": "below the median of earlier trials",
    "hyperband": "given up by Hyperband",
    "halving": "not among the best third after as many seconds",
}
THIRD, RUNGS = 3, 2
"""Successive halving keeps the best third at each rung; the last rung is a third of what a whole trial takes."""
UNITS = 1000
"""Of a second, in which successive halving counts."""


class Proposals:
    """Optuna's part in one search.

    Args:
        trials: what is recorded of it, and its specification.
    """

    def __init__(self, trials: Trials) -> None:
        self.trials, self.tune = trials, trials.study.tune
        self.last = len(self.tune.seeds) * trials.study.training.epochs
        self.space = {key: distribution(one.config) for key, one in trials.space.items()}
        self.begins = 0
        self.asked: dict[int, optuna.trial.Trial] = {}
        self.views: dict[int, tuple[optuna.trial.Trial, dict[int, float]]] = {}
        with quiet():
            self.study = self._made()
        self.advance()

    @property
    def batch(self) -> range:
        """Numbers of the trials that depend on nothing that is still to be found out."""
        if self.tune.independent:
            return range(self.tune.trials)
        return range(self.begins, min(self.begins + self.tune.batch, self.tune.trials))

    def advance(self) -> None:
        """Goes on to the next batch, where every trial of this one has ended; one that failed is waited for."""
        found, status = self.trials.found, self.trials.status
        while not self.tune.independent and self.begins < self.tune.trials:
            if not all(k in found and status(found[k]) not in (None, "failed") for k in self.batch):
                return
            self._settle()

    def drawn(self, number: int) -> dict[str, Any]:
        """The values of a trial of this batch, as drawn.

        All of the batch are asked for in the order of their numbers, before anything is known of any of them.
        """
        for k in (number,) if self.tune.independent else self.batch:
            if k not in self.asked:
                with quiet():
                    self.asked[k] = self._ask(k)
        return dict(self.asked[number].params)

    def gives_up(self, number: int, steps: Mapping[int, float], taken: Mapping[int, float]) -> bool:
        """Whether a trial should end after the last of these steps.

        Args:
            number: of the trial.
            steps: scores so far by step, as `Trials.steps` counts them.
            taken: seconds of training so far, likewise (`spent`).
        """
        if self.tune.pruner == "none":
            return False
        with quiet():
            view, said = self.views.get(number) or self._view(number)
            if any(steps.get(step) != value for step, value in said.items()) or len(steps) <= len(said):
                view, said = self._view(number)  # a run that begins anew, as its process was killed
            answer = False
            for step in sorted(steps.keys() - said.keys()):
                view.report(steps[step], self._resource(step, taken))
                said[step] = steps[step]
                answer = step < self.last and view.should_prune()
        self.views[number] = view, said
        return answer

    def _made(self) -> optuna.Study:
        direction = StudyDirection.MAXIMIZE if self.trials.sign > 0 else StudyDirection.MINIMIZE
        return optuna.create_study(study_name=self.trials.name, direction=direction, pruner=self._pruner())

    def _ask(self, number: int) -> optuna.trial.Trial:
        known = self.trials.found.get(number)
        values = self.trials.given(number)
        if values is None and known and self.tune.sampler != "cmaes":
            values = known.drawn
        if values is not None:
            self.study.enqueue_trial(values)
        self.study.sampler = self._sampler(number)
        asked = self.study.ask(self.space)
        if known and asked.params != known.drawn:  # another version of Optuna: what was drawn stands
            self.study.tell(asked, state=TrialState.FAIL)
            self.study.enqueue_trial(known.drawn)
            asked = self.study.ask(self.space)
        return asked

    def _view(self, number: int) -> tuple[optuna.trial.Trial, dict[int, float]]:
        """A copy of the study in which nothing is known of the other trials of the batch, and the trial in it."""
        self.drawn(number)
        copy = self._made()
        copy.add_trials(self.study.get_trials(deepcopy=False))
        (there,) = (t for t in copy.get_trials(deepcopy=False) if t.number == self.asked[number].number)
        return optuna.trial.Trial(copy, there._trial_id), {}

    def _settle(self) -> None:
        """Tells Optuna how the batch has ended, in the order of the numbers."""
        batch = self.batch
        self.drawn(batch[0])
        self.views = {}
        steps = {k: self.trials.steps(self.trials.found[k]) for k in batch}
        taken = {k: spent(self.trials, self.trials.found[k]) for k in batch}
        for k in batch if self.tune.pruner in ("hyperband", "halving") else ():
            self.gives_up(k, steps[k], taken[k])  # once more, by what is recorded: for what Hyperband writes down
        with quiet():
            for k in batch:
                self._tell(k, {self._resource(step, taken[k]): value for step, value in steps[k].items()})
        self.begins, self.views = batch.stop, {}

    def _resource(self, step: int, taken: Mapping[int, float]) -> int:
        """What a pruner counts in: steps, or thousandths of a second, at least one more with every step."""
        if self.tune.pruner != "halving":
            return step
        return step + round(UNITS * taken.get(step, 0.0))

    def _tell(self, number: int, steps: Mapping[int, float]) -> None:
        asked, trial = self.asked.pop(number), self.trials.found[number]
        status = self.trials.status(trial)
        if number in self.views:
            view = self.views[number][0]
            for key, value in view.storage.get_trial(view._trial_id).system_attrs.items():
                self.study._storage.set_trial_system_attr(asked._trial_id, key, value)
        for step, value in steps.items() if status in ("ok", "pruned") else ():
            asked.report(value, step)
        if status == "ok":
            self.study.tell(asked, trial.mean(self.trials.metric))
            return
        self.study.tell(asked, state=TrialState.PRUNED if status == "pruned" else TrialState.FAIL)
        if status != "pruned":
            # Samplers take no notice of what failed and would go on asking for its like: beside it stands a trial
            # pruned before its first value, than which none is worse.
            self.study.add_trial(
                optuna.trial.create_trial(state=TrialState.PRUNED, params=trial.drawn, distributions=self.space)
            )

    def _sampler(self, number: int) -> optuna.samplers.BaseSampler:
        """Seeded anew for every trial, by the search and its number: no trial has a share in another one's dice."""
        seed = int.from_bytes(hashlib.sha256(f"{self.trials.name} {number}".encode()).digest()[:4], "big")
        match self.tune.sampler:
            case "tpe":
                first = max(2, min(10, self.tune.trials // 2))
                liar = self.tune.batch > 1  # keeps the trials of a batch apart
                return optuna.samplers.TPESampler(n_startup_trials=first, constant_liar=liar, seed=seed)
            case "cmaes":
                return optuna.samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False)
        return optuna.samplers.RandomSampler(seed=seed)

    def _whole(self) -> int:
        """What the first trial that ended well took, as a pruner counts it; 0 while none has."""
        ended = (trial for _, trial in sorted(self.trials.found.items()) if self.trials.status(trial) == "ok")
        first = next(ended, None)
        return self._resource(self.last, spent(self.trials, first)) if first else 0

    def _pruner(self) -> optuna.pruners.BasePruner:
        match self.tune.pruner:
            case "median":
                first = max(3, min(5, self.tune.trials // 3))
                return optuna.pruners.MedianPruner(n_startup_trials=first, n_warmup_steps=math.ceil(self.last / 3))
            case "halving" if whole := self._whole():
                return optuna.pruners.SuccessiveHalvingPruner(max(1, whole // THIRD**RUNGS), THIRD)
            case "hyperband":
                return optuna.pruners.HyperbandPruner(min_resource=1, max_resource=self.last)
        return optuna.pruners.NopPruner()


def spent(trials: Trials, trial: Trial, curve: Sequence[Mapping[str, float]] = ()) -> dict[int, float]:
    """Seconds of training so far, by step as in `Trials.steps`; an epoch counts as one where they are not known.

    Args:
        trials: that it is one of.
        trial, curve: as for `Trials.steps`.
    """
    epochs, seeds = trials.study.training.epochs, trials.study.tune.seeds
    recorded = [trial.records[seed].get("curve") or () for seed in seeds if seed in trial.records]
    found, before = dict[int, float](), 0.0
    for at, rows in enumerate([*recorded, *([curve] if curve else [])]):
        for epoch, row in enumerate(rows, 1):
            found[at * epochs + epoch] = before + float(row.get("seconds") or epoch)
        before = max(found.values(), default=0.0)
    return found


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without Optuna's notes that some of its parts are experimental."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=optuna.exceptions.ExperimentalWarning)
        warnings.filterwarnings("ignore", module="optuna")
        yield
