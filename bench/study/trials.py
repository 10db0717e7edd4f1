"""The trials of one search: which there are, what they found, which one is chosen. Made from records; no Optuna."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from bench.records import PROTOCOL, run_id
from bench.records.environment import portable
from bench.records.outcomes import of_record
from bench.space import Choice
from bench.study.bracket import following
from bench.study.choice import chosen_again
from bench.study.plugins import fingerprint
from bench.study.recording import Record
from bench.study.study import Cell, Study
from bench.study.tune import configured
from bench.training.device import environment
from bench.training.run import Run


@dataclass
class Trial:
    """One trial: values, to four digits and as drawn, and the record of its run for each tuning seed so far."""

    number: int
    params: dict[str, Any]
    drawn: dict[str, Any] = field(default_factory=dict)
    records: dict[int, Record] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.drawn = self.drawn or self.params

    def status(self, seeds: Iterable[int]) -> str | None:
        """How it ended; None while a seed is still to run."""
        found = [record["status"] for record in self.records.values()]
        bad = next((status for status in found if status != "ok"), None)
        return bad or ("ok" if all(seed in self.records for seed in seeds) else None)

    def mean(self, metric: str) -> float | None:
        """Mean over the seeds that ran of a validation figure; None if one of them has none."""
        scores = [(record["metrics"].get("val") or {}).get(metric) for record in self.records.values()]
        known = [score for score in scores if score is not None]
        return statistics.fmean(known) if known and len(known) == len(scores) else None


@dataclass
class Trials:
    """The trials of one method on a model and a task.

    Args:
        study: what the budget and the spaces are of.
        cell: its method is tuned, or another one in its place (`Tune.share`).
        device: torch device, whose name and threads the trials are of.
    """

    study: Study
    cell: Cell
    device: str = "cpu"
    found: dict[int, Trial] = field(default_factory=dict)
    _shares: dict[tuple[int, ...], dict[int, Record]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        tune, (task, training) = self.study.tune, (self.cell.task, self.study.training)
        self.method = tune.representative(self.cell.method)
        self.space = tune.space(task, self.method)
        self.default = tune.default(task, self.method, training)
        self.metric = tune.target(task)
        self.sign = -1.0 if self.metric == "loss" else 1.0

    @cached_property
    def name(self) -> str:
        """Of the search, with a hash of all that the trials depend on: a change of it starts a new search."""
        tune, task, model = self.study.tune, self.cell.task, self.cell.model
        here: dict[str, Any] = environment(self.device)
        if portable(here, self.study.training.precision):  # a search goes on on another machine
            here = {"device_name": "cpu", "threads": "fp32"}
        digest = run_id(
            {
                **{"task": repr(task), "model": repr(model), "method": repr(self.method)},
                **{"training": repr(self.study.training), "default": self.default},
                **{"space": {key: one.config for key, one in self.space.items()}, "seeds": tune.seeds},
                **{"trials": tune.trials, "sampler": tune.sampler, "pruner": tune.pruner, "on": self.metric},
                **{"device": here["device_name"], "threads": here["threads"]},
                **({"batch": tune.batch} if tune.batch > 1 and not tune.independent else {}),
                **{"data": task.fingerprint(), "weights": model.fingerprint()},
                **({"method_sha256": code} if (code := fingerprint(self.method)) else {}),
            }
        )
        return f"{task.name} {model.name} {self.method!r} {digest[:8]}"

    def recall(self, records: Iterable[Record]) -> None:
        """Takes up the trials that are recorded; of one that failed only its values, for it runs again."""
        for record in records:
            known = record.get("trial") if (record["phase"], record["protocol"]) == ("tune", PROTOCOL) else None
            if known and known["search"] == self.name:
                if not self._possible(known["params"]) or known["number"] >= self.study.tune.trials:
                    continue  # not by this suite: it runs anew
                drawn = known.get("drawn")
                trial = Trial(known["number"], known["params"], drawn if drawn and self._possible(drawn) else {})
                trial = self.found.setdefault(trial.number, trial)
                if record["status"] != "failed":
                    trial.records[record["seed"]] = record

    def _possible(self, values: dict[str, Any]) -> bool:
        """Whether these are values of what is searched, that a run can have."""
        kinds = [isinstance(one, Choice) or type(values.get(key)) in (int, float) for key, one in self.space.items()]
        try:
            configured(self.method, self.study.training, values)
        except (TypeError, ValueError):
            return False
        return values.keys() == self.space.keys() and all(kinds)

    def given(self, number: int) -> dict[str, Any] | None:
        """The values of a trial that are known once those before it have ended; None where Optuna's sampler draws."""
        tune = self.study.tune
        if tune.sampler == "grid":
            return tune.grid(self.cell.task, self.method)[number]
        if number == 0:
            return self.default
        if tune.sampler == "bracket":
            ((name, space),) = self.space.items()
            tried = [(self.found[k].params[name], self._worth(self.found[k])) for k in range(number)]
            return {name: following(tried, space, default=self.default[name], trials=tune.trials)}  # type: ignore[arg-type]
        if tune.sampler == "qmc":  # from the sequence by its place: Optuna's own begins anew with a new storage
            from scipy.stats.qmc import Sobol

            seed = int(run_id({"search": self.name})[:8], 16)
            parts = Sobol(len(self.space), seed=seed).fast_forward(number).random(1)[0]
            return {key: one.at(float(part)) for (key, one), part in zip(self.space.items(), parts, strict=True)}
        return None

    def _worth(self, trial: Trial) -> float:
        """A trial's score, more is better; minus infinity for one that did not end well."""
        score = trial.mean(self.metric) if self.status(trial) == "ok" else None
        return -math.inf if score is None else self.sign * score

    def run(self, trial: Trial, seed: int) -> Run:
        """A trial's run with one tuning seed."""
        method, training = configured(self.method, self.study.training, trial.params)
        name = f"{self.name} #{trial.number}"
        return Run(self.cell.task, self.cell.model, method, training, seed, test=False, trial=name)

    def about(self, trial: Trial) -> Record:
        """What a trial's record says of it."""
        return {
            **{"search": self.name, "number": trial.number, "params": trial.params, "drawn": trial.drawn},
            **{"seeds": list(self.study.tune.seeds), "of": repr(self.method)},
        }

    def status(self, trial: Trial) -> str | None:
        """How a trial ended; None while it has not."""
        return trial.status(self.study.tune.seeds)

    def steps(self, trial: Trial, curve: Sequence[Mapping[str, float]] = ()) -> dict[int, float]:
        """The mean score over seeds at the best epoch so far, by step: epochs are counted on from seed to seed.

        Args:
            trial: whose recorded runs count, in the order of the tuning seeds.
            curve: validation scores of a run that goes on, an epoch each.
        """
        epochs, seeds = self.study.training.epochs, self.study.tune.seeds
        recorded = [trial.records[seed].get("curve") or () for seed in seeds if seed in trial.records]
        curves = [[row.get("val") or {} for row in rows] for rows in recorded]
        curves += [list(curve)] * bool(curve)
        steps = {}
        for at, scores in enumerate(curves):
            for epoch in range(1, len(scores) + 1):
                so_far = self._so_far([*curves[:at], scores[:epoch]])
                if so_far is not None:
                    steps[at * epochs + epoch] = so_far
        return steps

    def _so_far(self, curves: Sequence[Sequence[Mapping[str, float]]]) -> float | None:
        """Mean over runs of the score at the best epoch so far, as a run itself chooses it; None without a number."""
        metric, headline, found = self.metric, self.cell.task.metric, []
        for curve in curves:
            known = [s for s in curve if all(math.isfinite(s.get(key) or 0.0) for key in (headline, metric, "loss"))]
            known = [s for s in known if s.get(headline) is not None and s.get(metric) is not None]
            if not known:
                return None
            found.append(max(known, key=lambda s: (s[headline], -(s.get("loss") or 0.0)))[metric])
        return sum(found) / len(found)

    @property
    def open(self) -> list[int]:
        """Numbers of the trials that have not ended."""
        return [k for k in range(self.study.tune.trials) if k not in self.found or self.status(self.found[k]) is None]

    @property
    def left(self) -> int:
        """Runs that are still to do, if none is pruned."""
        seeds = len(self.study.tune.seeds)
        return sum(seeds - len(self.found[k].records) if k in self.found else seeds for k in self.open)

    @property
    def chosen(self) -> Trial | None:
        """The trial with the best mean score over the tuning seeds; of equals the one of lower loss, then the first.

        Where nothing is tuned, one of the defaults that never ran.
        """
        if not self.study.tune.trials:
            return Trial(0, self.default)
        ended = [trial for _, trial in sorted(self.found.items()) if self._worth(trial) > -math.inf]
        return max(ended, key=lambda trial: (self._worth(trial), -(trial.mean("loss") or 0.0)), default=None)

    @property
    def unsound(self) -> str | None:
        """Why the trials are no budget equal to the other methods': one failed by accident, or none ended well."""
        statuses = [self.status(trial) for trial in self.found.values()]
        if "failed" in statuses:
            return "a tuning run failed, so the budget would be smaller than the other methods'"
        if self.chosen is None:
            return f"no tuning run ended well: {', '.join(map(str, statuses))}"
        return None

    def summary(self, cell: Cell) -> Record:
        """A record's `tuning`, for the runs of a cell that the search serves."""
        tune, chosen, again = self.study.tune, self.chosen, self._again()
        values = chosen.params if chosen else {}
        return {
            **{"search": self.name, "of": repr(cell.method), "method": repr(self.method)},
            "shared_from": None if self.method == cell.method else repr(self.method),
            **{"sampler": tune.sampler, "pruner": tune.pruner, "on": f"val/{self.metric}", "seeds": list(tune.seeds)},
            **{"budget": tune.trials, "epochs": self.study.training.epochs},
            **({"batch": tune.batch} if tune.batch > 1 and not tune.independent else {}),
            "space": {key: one.config for key, one in self.space.items()},
            "default": self.default,
            "trials": [self._brief(self.found[number]) | again.get(number, {}) for number in sorted(self.found)],
            "chosen": {"number": chosen.number, "params": values} if chosen else None,
            "edge": [key for key, value in values.items() if self.space[key].edge(value)],
        }

    def _brief(self, trial: Trial) -> Record:
        status = self.status(trial) or "failed"
        scored, records = status in ("ok", "pruned"), trial.records.values()
        return {
            **{"number": trial.number, "params": trial.params, "status": status},
            "score": trial.mean(self.metric) if scored else None,
            "loss": trial.mean("loss") if scored else None,
            "epochs": sum(len(record.get("curve") or ()) for record in records),
            "seconds": round(sum((record.get("time") or {}).get("total") or 0.0 for record in records), 3),
        }

    def _again(self) -> dict[int, Record]:
        """Of each trial that could be chosen, how often it would be (`choice.chosen_again`), where that is known."""
        ended = {k: self.found[k] for k in sorted(self.found) if self.status(self.found[k]) == "ok"}
        if tuple(ended) not in self._shares:
            kept = [[of_record(trial.records[s], "val") for s in self.study.tune.seeds] for trial in ended.values()]
            whole = [[each for each in one if each is not None] for one in kept]
            shares = chosen_again(whole, self.metric, lower=self.sign < 0) if whole == kept else None
            self._shares[tuple(ended)] = {k: {"best_in": s} for k, s in zip(ended, shares or (), strict=False)}
        return self._shares[tuple(ended)]

    def tested(self, cell: Cell) -> list[tuple[str, Run]]:
        """What a cell is tested with, phase and run: the chosen values, every other one of the grid where the study
        asks for that, and, if it was itself tuned, the default ones.

        Where nothing is chosen, or not yet, the default ones stand for what would be.
        """
        chosen, default = self.chosen, self.finals(cell, self.default)
        kept = [("final", run) for run in (self.finals(cell, chosen.params) if chosen else default)]
        grid = self.study.tune.grid(cell.task, self.method) if self.study.sweep else []
        others = [("sweep", run) for values in grid for run in self.finals(cell, values)]
        seeds = self.study.tune.default_seeds(self.study.seeds) if self.method == cell.method else ()
        others += [("default", run) for run in default if run.seed in seeds]
        for phase, run in others:
            if all(run != known for _, known in kept):
                kept.append((phase, replace(run, shifts=None)))  # what is not chosen is not examined so long
        return kept

    def planned(self, cell: Cell) -> int:
        """How many runs a cell is tested with at most, while nothing is chosen yet."""
        others = self.study.tune.trials - 1 if self.study.sweep else 0
        defaults = self.study.tune.default_seeds(self.study.seeds) if self.method == cell.method else ()
        return (1 + others) * len(self.study.seeds) + len(defaults)

    def finals(self, cell: Cell, params: dict[str, Any]) -> list[Run]:
        """A cell's reported runs with certain values; inference is timed with the first seed."""
        method, training = configured(cell.method, self.study.training, params)
        asked: dict[str, Any] = {"retained": self.study.retained, "shifts": self.study.shifts}
        return [
            Run(cell.task, cell.model, method, training, seed, **asked, timed=number == 0)
            for number, seed in enumerate(self.study.seeds)
        ]


def of_cells(study: Study, device: str) -> dict[Cell, Trials]:
    """The trials that each cell's values come from; cells that share them have the same object."""
    shared: dict[Cell, Trials] = {}
    found = {}
    for cell in study.cells():
        tuned = replace(cell, method=study.tune.representative(cell.method))
        found[cell] = shared.setdefault(tuned, Trials(study, tuned, device))
    return found
