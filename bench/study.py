"""A study: which methods on which models and tasks, how they are tuned, and with how many seeds."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from bench.errors import BadInput, unknown
from bench.methods import Method
from bench.tasks import Task
from bench.train import Run
from bench.training import Training

SCALES = ("smoke", "laptop", "full")


@dataclass(frozen=True)
class Tune:
    """How the learning rate is chosen: on validation, from the same number of candidates for every method.

    Args:
        candidates: how many of a method's declared `learning_rates` are tried, spread over all of them.
        seeds: seeds of the trials; none of them is a final seed.
        share: fields over which a tuned value is shared. {"rank": 8} tunes `LoRA(rank=8)` and uses its learning
            rate at every rank, as alpha/rank scaling is meant to allow (arXiv:2106.09685, section 4.1).
        rates: the rates of a method (by name) in place of those it declares, where they do not suit a family: a linear
            probe's are for one layer, and a whole detector on a frozen backbone diverges at most of them.
    """

    candidates: int = 5
    seeds: tuple[int, ...] = (1000,)
    share: Mapping[str, Any] = field(default_factory=dict)
    rates: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.candidates < 1 or not self.seeds:
            raise BadInput(f"candidates {self.candidates}, seeds {self.seeds}: tuning needs at least one of each")

    def representative(self, method: Method) -> Method:
        """The method that is tuned in the place of `method`; most often itself."""
        shared = {f.name: self.share[f.name] for f in fields(method) if f.name in self.share}  # type: ignore[arg-type]
        return replace(method, **shared)  # type: ignore[type-var]

    def learning_rates(self, method: Method) -> tuple[float, ...]:
        """The candidates of a method, ascending."""
        declared = sorted(self.rates.get(type(method).__name__, method.learning_rates))
        if len(declared) < self.candidates:
            raise BadInput(
                f"{method!r} declares {len(declared)} learning rates: the study tries {self.candidates} of each"
            )
        if self.candidates == 1:
            return (declared[len(declared) // 2],)
        step = (len(declared) - 1) / (self.candidates - 1)
        return tuple(declared[round(i * step)] for i in range(self.candidates))


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
class Study:
    """What a file in `studies/` returns for a scale; one for each family (images, text, …), where it has several.

    Args:
        name: also the name of the results folder and of the MLflow experiment.
        question: the one that the study answers, as a sentence.
        tasks, models, methods: every combination is a cell, in this order.
        training: how every run trains; its learning rate is replaced by the tuned one.
        seeds: of the final runs, each tested once.
        tune: how learning rates are chosen.
    """

    name: str
    question: str
    tasks: tuple[Task, ...]
    models: tuple[Any, ...]
    methods: tuple[Method, ...]
    training: Training = field(default_factory=Training)
    seeds: tuple[int, ...] = (0, 1, 2)
    tune: Tune = field(default_factory=Tune)

    def __post_init__(self) -> None:
        for name in ("tasks", "models", "methods", "seeds"):
            if not getattr(self, name):
                raise BadInput(f"study {self.name!r} has no {name}")
        for name in ("seeds", "methods"):
            if len(set(getattr(self, name))) < len(getattr(self, name)):
                raise BadInput(f"study {self.name!r} lists one of its {name} twice: it would count twice")
        if overlap := set(self.seeds) & set(self.tune.seeds):
            raise BadInput(
                f"study {self.name!r}: seed {min(overlap)} both tunes and is reported: use fresh final seeds"
            )
        named = {type(method).__name__ for method in self.methods}
        for name in self.tune.rates:
            if name not in named:
                raise unknown("method", name, named)
        known = {f.name for method in self.methods for f in fields(method)}  # type: ignore[arg-type]
        for name in self.tune.share:
            if name not in known:
                raise unknown("shared field", name, known)
        list(self.cells())  # each refuses what does not go together

    @property
    def family(self) -> str:
        """Of its tasks and models."""
        return self.tasks[0].family

    def cells(self) -> Iterator[Cell]:
        """Every combination, methods innermost."""
        for task in self.tasks:
            for model in self.models:
                for method in self.methods:
                    yield Cell(task, model, method)

    def trials(self, cell: Cell) -> list[Run]:
        """The tuning runs whose result the cell uses: no look at the test part."""
        method = self.tune.representative(cell.method)
        return [
            Run(cell.task, cell.model, method, replace(self.training, lr=lr), seed, test=False)
            for lr in self.tune.learning_rates(method)
            for seed in self.tune.seeds
        ]

    def finals(self, cell: Cell, lr: float) -> list[Run]:
        """The cell's reported runs."""
        training = replace(self.training, lr=lr)
        return [Run(cell.task, cell.model, cell.method, training, seed) for seed in self.seeds]


def load(name: str, scale: str, *, family: str | None = None, folder: Path = Path("studies")) -> tuple[Study, ...]:
    """The study that `folder/<name>.py` declares for a scale; "rank-sweep" and "rank_sweep" are the same.

    Args:
        name: of the study.
        scale: one of `SCALES`.
        family: only this one, e.g. "text".
        folder: where the studies are.

    Returns:
        One `Study` a family, in the order declared.

    Raises:
        BadInput: no such study, scale or family; two parts that are not of one study.
    """
    if scale not in SCALES:
        raise unknown("scale", scale, SCALES)
    declared = _module(name, folder).study(scale)
    parts: tuple[Study, ...] = (declared,) if isinstance(declared, Study) else tuple(declared)
    known = {part.family: part for part in parts}
    if len(known) < len(parts) or len({part.name for part in parts}) != 1:
        raise BadInput(f"study {name!r}: its parts need one name and a family each")
    if family is None:
        return parts
    if family not in known:
        raise unknown(f"family of {parts[0].name}", family, known)
    return (known[family],)


def names(folder: Path = Path("studies")) -> dict[str, str]:
    """Every study by name, with the first line of its docstring."""
    found = {}
    for path in sorted(folder.glob("*.py")):
        first = path.read_text(encoding="utf-8").lstrip().removeprefix('"""').splitlines()
        found[path.stem.replace("_", "-")] = first[0].rstrip('"') if first else ""
    return found


def _module(name: str, folder: Path) -> ModuleType:
    if not folder.is_dir():
        raise BadInput(f"no folder {str(folder)!r} here: run this in the repository, where the studies are")
    known = names(folder)
    key = name.replace("_", "-")
    if key not in known:
        raise unknown("study", name, known)
    path = folder / f"{key.replace('-', '_')}.py"
    spec = importlib.util.spec_from_file_location(f"studies.{path.stem}", path)
    assert spec is not None and spec.loader is not None  # a .py file always has both
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
