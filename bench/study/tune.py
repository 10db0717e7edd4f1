"""How hyper-parameters are chosen: the budget, equal for all, and the spaces. `bench/execution/search.py` does it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

from bench.errors import BadInput, unknown
from bench.methods import Method
from bench.space import Choice, Range, Space
from bench.tasks import Judged, Searched, Task
from bench.training.recipe import Training

SAMPLERS = ("tpe", "random", "grid", "bracket", "qmc", "cmaes")
PRUNERS = ("median", "hyperband", "halving", "none")
HEADLINE = "val/metric"
"""The headline metric of whatever task."""
MOST = 10**6  # trials that anything is reckoned for
TUNABLE = ("lr", "head_lr", "batch_size", "weight_decay", "warmup", "label_smoothing", "clip_norm")
"""Fields of `Training` that may be searched; epochs are the budget, equal for all."""


@dataclass(frozen=True)
class Tune:
    """How every method is tuned: on validation, with the same number of trials and of epochs, by Optuna.

    A trial trains once for each tuning seed; its score is the mean of their best validation scores. Pruned, diverged
    and out-of-memory trials count against the budget. The first trial is the default configuration, so that the
    chosen one never scores below it on validation (a grid has its own points only).

    Args:
        trials: the budget of each method on each task and model; 0 tunes nothing: the defaults are tested.
        sampler: "tpe" (Bergstra et al. 2011, NeurIPS), "random", "qmc" (scrambled Sobol'), "cmaes"
            (arXiv:1604.00772), "grid": points at equal distances, as many as there are trials, or "bracket": over one
            range, outwards from the default until the best lies between others (`bench.study.bracket`).
        pruner: "median": a trial ends after an epoch if its best score so far is below the median of earlier batches at
            that epoch; "hyperband" (arXiv:1603.06560); "halving": successive halving (arXiv:1502.07943) on seconds of
            training, the best third goes on at a ninth and a third of what the first trial took; "none".
        batch: how many trials of a search may run at once. Values and pruning depend on completed batches alone, so
            that they are the same for any number of workers. 1: one trial after the other, which finds most; workers
            are kept busy by the study's other searches and by its final runs. For one search on several GPUs give
            their number. Trials that depend on no other (a grid, random or qmc without a pruner) need no batch.
        on: what trials are judged by, on validation. By default the task's loss, minimised, where that is a likelihood
            or an error: it tells apart what accuracy on a few hundred samples does not. Of boxes the headline metric,
            as a detector's loss depends on the batch. "val/" and the headline metric is maximised; "val/metric" is that
            of any task. A run's score is
            that of the epoch whose weights it keeps: the best by the headline metric, of equals that of lower loss.
        over: the names searched, of those that a method declares; all of them where nothing is said.
        seeds: of the trials; none of them is a final seed.
        share: fields over which the chosen values are shared. {"rank": 8} tunes `LoRA(rank=8)` and uses its values at
            every rank, as alpha/rank scaling is meant to allow (arXiv:2106.09685, section 4.1).
        spaces: by a method's name, ranges in place of those that it or the task declares, and further ones.
        untuned: whether the default configuration is tested too, where another is chosen, so that it is seen what
            tuning gains; on all final seeds, or on the first so many.
    """

    trials: int = 10
    sampler: str = "tpe"
    pruner: str = "median"
    batch: int = 1
    on: str = ""
    over: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (1000,)
    share: Mapping[str, Any] = field(default_factory=dict)
    spaces: Mapping[str, Space] = field(default_factory=dict)
    untuned: bool | int = True

    def __post_init__(self) -> None:
        if isinstance(self.trials, bool) or not isinstance(self.trials, int) or self.trials < 0:
            raise BadInput(f"trials {self.trials}: give a whole number, 0 to tune nothing")
        if isinstance(self.batch, bool) or not isinstance(self.batch, int) or self.batch < 1:
            raise BadInput(f"batch {self.batch}: a whole number ≥ 1 of trials at once")
        if self.sampler == "bracket" and self.batch > 1:
            raise BadInput(f"batch {self.batch}: by sampler 'bracket' a trial depends on all before; leave batch out")
        whole = isinstance(self.seeds, tuple) and all(type(seed) is int for seed in self.seeds)
        if not whole or not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise BadInput(f"seeds {self.seeds!r}: tuning needs a tuple of whole numbers, and none twice")
        if self.sampler not in SAMPLERS:
            raise unknown("sampler", str(self.sampler), SAMPLERS)
        if self.pruner not in PRUNERS:
            raise unknown("pruner", str(self.pruner), PRUNERS)
        if not isinstance(self.on, str) or (self.on and not self.on.startswith("val/")):
            raise BadInput(f"on {self.on!r}: nothing is chosen on anything but validation; write 'val/<metric>'")
        if not isinstance(self.untuned, int) or self.untuned < 0:
            raise BadInput(f"untuned {self.untuned!r}: True, False, or a whole number of final seeds")
        if not isinstance(self.share, Mapping):
            raise BadInput(f"share {self.share!r}: name fields with their values, as {{'rank': 8}}")
        told = isinstance(self.spaces, Mapping) and all(isinstance(one, Mapping) for one in self.spaces.values())
        if not told or not all(isinstance(s, Range | Choice) for one in self.spaces.values() for s in one.values()):
            raise BadInput("spaces: name methods and what is searched, as {'LoRA': {'lr': Range(1e-4, 1e-2)}}")

    @property
    def independent(self) -> bool:
        """Whether a trial depends on no other, so that any number may run at once with the same result."""
        return self.pruner == "none" and self.sampler in ("grid", "random", "qmc")

    def default_seeds(self, seeds: tuple[int, ...]) -> tuple[int, ...]:
        """The final seeds on which the default configuration is tested too."""
        return seeds if self.untuned is True else seeds[: int(self.untuned)]

    def representative(self, method: Method) -> Method:
        """The method that is tuned in the place of `method`; most often itself."""
        return method.having({key: self.share[key] for key in method.config if key in self.share})

    def target(self, task: Task) -> str:
        """What is looked at, without its "val/"."""
        if self.on == HEADLINE:
            return task.metric
        return self.on.removeprefix("val/") or (task.judged_by if isinstance(task, Judged) else task.metric)

    def space(self, task: Task, method: Method) -> dict[str, Range | Choice]:
        """What is searched for a method on a task: as the study says, else the task, else the method.

        Raises:
            BadInput: a name that neither the method nor the training has, or nothing is left to search.
        """
        name = type(method).__name__
        of_task = task.spaces.get(name, {}) if isinstance(task, Searched) else {}
        declared = {**method.space, **of_task, **self.spaces.get(name, {})}
        own = [key for key in method.config if key.rpartition(".")[2] not in ("at", "blocks")]
        for key in declared:
            if key not in (*own, *TUNABLE):
                raise unknown(f"hyper-parameter of {name}", key, (*own, *TUNABLE))
        found = {key: space for key, space in declared.items() if not self.over or key in self.over}
        for key in found:
            if key in self.share:
                raise BadInput(f"{key} of {name} is both searched and shared over: leave it out of one of them")
        if not found:
            raise BadInput(f"{name} declares none of {', '.join(self.over)}: there is nothing to tune")
        return found

    def default(self, task: Task, method: Method, training: Training) -> dict[str, Any]:
        """The values of what is searched that one would use without tuning.

        Raises:
            BadInput: one lies outside its range.
        """
        values = {}
        for key, space in self.space(task, method).items():
            said = space.default
            if said is None:
                said = method.config[key] if key in method.config else getattr(training, key)
            if said not in space:
                raise BadInput(f"{type(method).__name__}: its default {key} {said!r} is outside the range {space}")
            values[key] = said
        return values

    def grid(self, task: Task, method: Method) -> list[dict[str, Any]]:
        """The points of the sampler "grid".

        Raises:
            BadInput: the trials do not make a grid over all that is searched.
        """
        space = self.space(task, method)
        ranges = sum(isinstance(one, Range) for one in space.values())
        options = math.prod(len(one.values) for one in space.values() if isinstance(one, Choice))
        each = round((min(self.trials, MOST) / options) ** (1 / max(1, ranges)))
        if each**ranges * options != self.trials:
            sizes = ", ".join(dict.fromkeys(str(k**ranges * options) for k in (2, 3, 4, 5)))
            raise BadInput(
                f"trials {self.trials}: a grid over {', '.join(space)} has {sizes}, … points; "
                "give one of these, or fewer names in over"
            )
        points = [one.points(each) if isinstance(one, Range) else one.values for one in space.values()]
        return [dict(zip(space, values, strict=True)) for values in product(*points)]

    def check(self, task: Task, method: Method, training: Training) -> None:
        """Refuses what could not be tuned, before anything runs.

        Raises:
            BadInput: a space, a default or a grid that does not fit.
        """
        space = self.space(task, method)
        if self.target(task) not in (task.metric, "loss"):
            raise BadInput(f"on {self.on!r}: this task is tuned on 'val/{task.metric}' or 'val/loss'")
        for key, one in space.items():
            for value in one.ends:
                configured(method, training, {key: value})  # which refuses what cannot be
        if self.sampler == "grid" and self.trials:
            self.grid(task, method)
        self.default(task, method, training)
        if self.sampler == "bracket" and [type(one) for one in space.values()] != [Range]:
            raise BadInput(
                f"sampler 'bracket' needs one range: {type(method).__name__} has {', '.join(space)}; name it in over"
            )
        if self.sampler == "cmaes" and (len(space) < 2 or any(isinstance(one, Choice) for one in space.values())):
            raise BadInput(
                f"sampler 'cmaes' needs two ranges or more, no choice: {type(method).__name__} has {', '.join(space)}"
            )


def configured(method: Method, training: Training, values: Mapping[str, Any]) -> tuple[Method, Training]:
    """Method and training with the values of a trial in their places."""
    own = method.config
    of_method = {key: value for key, value in values.items() if key in own}
    of_training = {key: value for key, value in values.items() if key not in own}
    return method.having(of_method), replace(training, **of_training)
