"""A study: which methods on which models and tasks, how they are tuned, and with how many seeds."""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from bench.errors import BadInput, unknown
from bench.methods import Method
from bench.study.scales import SCALES, declaring, own_precision, own_seeds, own_tuning
from bench.study.tune import Tune, configured
from bench.tasks import Corruptible, Task
from bench.training.recipe import Training
from bench.training.shifts import Shifts

PLUGINS = "plugins"
"""The package under whose name files with methods of one's own are loaded (`bench.study.plugins`)."""


@dataclass(frozen=True)
class Cell:
    """A method on a model on a task: what one point of a figure stands for."""

    task: Task
    model: Any
    method: Method

    def __post_init__(self) -> None:
        if self.task.family not in self.model.families:
            raise BadInput(
                f"{self.task!r} is a task of {self.task.family}, {self.model!r} a model for "
                f"{' and '.join(self.model.families)}: give a task and a model of one family"
            )


@dataclass(frozen=True)
class Costs:
    """What a study of costs does with each cell in the place of tuning, training and testing it.

    Weights and inputs are random, inputs of the largest size: time and memory do not depend on them.

    Args:
        steps: training steps that are timed, after one that warms up and is counted.
        batches: batch sizes whose memory on a GPU is estimated.
        estimated: models that are too large for steps; only their memory is estimated.
    """

    steps: int = 10
    batches: tuple[int, ...] = (1, 8, 32, 128)
    estimated: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        if self.steps < 1 or not self.batches or min(self.batches) < 1:
            raise BadInput(f"{self!r}: at least one step, and batches of at least one sample")


@dataclass(frozen=True)
class Study:
    """What a file in `studies/` returns for a scale: one, or several of one name that share no cell.

    Several are for families (images, text, …), and for networks or tasks that want a training of their own.

    Args:
        name: also the name of the results folder and of the MLflow experiment.
        question: the one that the study answers, as a sentence.
        tasks, models, methods: every combination is a cell, in this order.
        training: how every run trains; what is tuned of it is replaced by what was chosen. A precision of "auto" is
            the scale's own, where that has one.
        seeds: of the final runs, each tested once; by default those of the scale (`bench.study.scales`).
        tune: how hyper-parameters are chosen; by default as the scale does. Nothing is pruned where a trial is a single
            epoch on a single seed.
        costs: where given, nothing is tuned, trained or tested: only what each cell costs is measured.
        retained: an old task; what a network trained on the study's tasks still knows of it is measured in the final
            runs (`bench.training.retention`). Nothing is chosen by it.
        shifts: where given, the final runs' test part is measured again where data shift
            (`bench.training.robustness`). Nothing is chosen by it.
        sweep: whether every other value of a grid is tested too, on the final seeds, in runs of a phase of their own,
            "sweep". Nothing is chosen by them, and they are no configurations of any other figure.
    """

    name: str
    question: str
    tasks: tuple[Task, ...]
    models: tuple[Any, ...]
    methods: tuple[Method, ...]
    training: Training = field(default_factory=Training)
    seeds: tuple[int, ...] = field(default_factory=own_seeds)
    tune: Tune = field(default_factory=own_tuning)
    costs: Costs | None = None
    retained: Task | None = None
    shifts: Shifts | None = None
    sweep: bool = False

    def __post_init__(self) -> None:
        for name in ("tasks", "models", "methods", "seeds"):
            if not getattr(self, name):
                raise BadInput(f"study {self.name!r} has no {name}")
        for name in ("seeds", "methods"):
            if len(set(getattr(self, name))) < len(getattr(self, name)):
                raise BadInput(f"study {self.name!r} lists one of its {name} twice: it would count twice")
        if (precision := own_precision(self.training.precision)) != self.training.precision:
            object.__setattr__(self, "training", replace(self.training, precision=precision))
        if self.tune.pruner != "none" and self.training.epochs * len(self.tune.seeds) < 2:
            object.__setattr__(self, "tune", replace(self.tune, pruner="none"))  # no value comes before the last
        if self.sweep and self.tune.sampler != "grid":
            raise BadInput(f"study {self.name!r}: sweep=True tests a grid's values; tune with grid(scale)")
        if overlap := set(self.seeds) & set(self.tune.seeds):
            raise BadInput(
                f"study {self.name!r}: seed {min(overlap)} both tunes and is reported: use fresh final seeds"
            )
        named = {type(method).__name__ for method in self.methods}
        for name in self.tune.spaces:
            if name not in named:
                raise unknown("method", name, named)
        searched = {name for task in self.tasks for method in self.methods for name in self._declared(task, method)}
        for name in self.tune.over:
            if name not in searched:
                raise unknown("hyper-parameter to search", name, searched)
        known = {key for method in self.methods for key in method.config}
        for name in self.tune.share:
            if name not in known:
                raise unknown("shared field", name, known)
        for cell in self.cells():  # each refuses what does not go together
            self.tune.check(cell.task, self.tune.representative(cell.method), self.training)
        for task in self.tasks:
            self._check_apart(task)
            if self.shifts and not isinstance(task, Corruptible):
                raise BadInput(f"shifts={self.shifts!r}: {task!r} knows no corruptions; give a classification task")
            if self.retained and (task.family, task.output) != (self.retained.family, "pooled"):
                raise BadInput(f"retained={self.retained!r}: give a classification task of the family of {task!r}")

    def _declared(self, task: Task, method: Method) -> list[str]:
        return [*replace(self.tune, over=(), share={}).space(task, method)]

    def _check_apart(self, task: Task) -> None:
        """Refuses methods that differ only in what is searched: they would be tuned to the same."""
        seen: dict[str, Method] = {}
        for method in self.methods:
            space = self.tune.space(task, self.tune.representative(method))
            alike = repr(configured(method, self.training, {key: one.ends[0] for key, one in space.items()})[0])
            if alike in seen:
                raise BadInput(
                    f"study {self.name!r}: {seen[alike]!r} and {method!r} differ only in what is searched; keep one of "
                    "them, or leave it out of the search with over"
                )
            seen[alike] = method

    @property
    def family(self) -> str:
        """Of its tasks and models."""
        return self.tasks[0].family

    def cells(self) -> Iterator[Cell]:
        """Every combination, methods innermost."""
        for task in self.tasks:
            for model in (*self.models, *(self.costs.estimated if self.costs else ())):
                for method in self.methods:
                    yield Cell(task, model, method)


def load(file: Path, scale: str, *, family: str | None = None) -> tuple[Study, ...]:
    """The study that a file declares for a scale.

    Args:
        file: one with a function `study(scale)`; the command line finds it by its name (`bench.cli.studies`). Its
            `SCALES` are those that it is declared at, where these are not all.
        scale: one of `SCALES`.
        family: only this one, e.g. "text".

    Returns:
        Its parts, in the order declared.

    Raises:
        BadInput: no such scale or family, or none of this study; parts of several studies, or with one cell twice.
    """
    if scale not in SCALES:
        raise unknown("scale", scale, SCALES)
    if scale not in (own := scales_of(file)):
        raise BadInput(f"{file.stem.replace('_', '-')} is not declared at scale {scale!r}: it has {', '.join(own)}")
    with declaring(scale):
        declared = loaded(f"studies.{file.stem}", file).study(scale)
    parts: tuple[Study, ...] = (declared,) if isinstance(declared, Study) else tuple(declared)
    if len({part.name for part in parts}) != 1:
        raise BadInput(f"study {file.stem!r}: its parts need one name")
    cells = Counter(cell for part in parts for cell in part.cells())
    if twice := next((cell for cell, times in cells.items() if times > 1), None):
        raise BadInput(
            f"study {file.stem!r}: two of its parts have {twice.method!r} on {twice.model!r} and {twice.task!r}"
        )
    if family is None:
        return parts
    if found := tuple(part for part in parts if part.family == family):
        return found
    raise unknown(f"family of {parts[0].name}", family, dict.fromkeys(part.family for part in parts))


def scales_of(file: Path) -> tuple[str, ...]:
    """The scales that a study is declared at: its file's `SCALES`, or all."""
    return tuple(getattr(loaded(f"studies.{file.stem}", file), "SCALES", SCALES))


def loaded(name: str, path: Path) -> ModuleType:
    """The module in a file, under a name by which what it defines is found again, in a worker process too.

    Pickle imports a class's module by its whole name: the package before the dot must be there as well, wherever the
    file is.
    """
    package = name.partition(".")[0]
    if package not in sys.modules:
        sys.modules[package] = ModuleType(package)
        sys.modules[package].__path__ = [str(path.parent)]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None  # a .py file always has both
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
