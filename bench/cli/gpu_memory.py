"""`bench memory` for training as people carry it out on GPUs: precision of the base, attention, loss, what fits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from bench.errors import BadInput

if TYPE_CHECKING:
    from bench.training.gpu_step import Estimate, Setup
    from bench.training.run import Run

Found = TypeVar("Found")
TOKENS = 1024
"""Tokens of a text where a language model is asked for and no length is."""
OWN = ("adamw", "sgd")
"""Optimisers with which this suite trains."""


def chosen(
    name: str, task: str | None, *, length: int | None, size: int | None, loss: str | None, dropout: float
) -> tuple[Any, Any]:
    """Model and task as the command line names them.

    Raises:
        BadInput: an option that is not of this kind of model.
    """
    import bench.models as model_table
    import bench.tasks as task_table
    from bench.models import HuggingFace
    from bench.tasks import LanguageModelling

    model: Any = model_table.resolve(name)
    head: Any = task_table.resolve(task) if task else task_table.usual(model)
    texts = isinstance(model, HuggingFace)
    if length is not None and not texts:
        raise BadInput(f"--length is of texts, and {model!r} takes pictures: say --size")
    if size is not None and texts:
        raise BadInput(f"--size is of pictures, and {model!r} takes texts: say --length")
    if loss is not None and not isinstance(head, LanguageModelling):
        instead = "say --task LanguageModelling" if texts else "leave --loss out"
        raise BadInput(f"--loss is of language models: {head!r} has a loss of its own; {instead}")
    if loss is not None:
        head = LanguageModelling(loss)
    if texts and isinstance(head, LanguageModelling) and model.max_length is None and length is None:
        length = min(TOKENS, model.build(device="meta").inputs.length)
    changes = {"max_length": length, "image_size": size, "dropout": dropout if texts and dropout else None}
    return replace(model, **{key: value for key, value in changes.items() if value is not None}), head


@dataclass(frozen=True)
class Shown:
    """What is wanted besides the table: which layers hold the activations, that as a figure, or all as JSON."""

    explain: bool
    figure: Path | None
    as_json: bool


@dataclass(frozen=True)
class Asked:
    """What is asked for, as on the command line."""

    model: Any
    task: Any
    methods: tuple[str, ...]
    batch: int
    precision: str
    optimizer: str
    checkpointing: bool
    every: int
    parts: int
    base: str | None
    attention: str | None
    dropout: float

    def runs(self) -> list[Run]:
        """One a method."""
        from bench.methods import METHODS
        from bench.spec import parse
        from bench.training.recipe import Training
        from bench.training.run import Run

        training = Training(
            batch_size=self.batch,
            precision=self.precision,
            optimizer=self.optimizer if self.optimizer in OWN else OWN[0],
            activation_checkpointing=self.checkpointing,
            checkpoint_every=self.every,
            accumulate=self.parts,
        )
        if not self.methods:
            from bench.training.memory_fit import USUAL

            again = replace(training, activation_checkpointing=True)
            return [
                Run(self.task, self.model, method, again if once_more else training, seed=0)
                for method, once_more in USUAL
            ]
        parsed: list[Any] = [parse(method, known=METHODS, kind="method") for method in self.methods]
        return [Run(self.task, self.model, method, training, seed=0) for method in parsed]

    def each(self, work: Callable[[Run], Found], *, part: bool = False) -> list[tuple[Run, Found]]:
        """What is found of every run; of usual methods, which nobody named, without those that do not fit the model.

        Args:
            work: done with each.
            part: whether on the samples that pass the network at one time.

        Raises:
            BadInput: a named method does not fit, or none does.
        """
        from tqdm import tqdm

        found, refused = [], []
        runs = self.part() if part else self.runs()
        for run in tqdm(runs, unit="method", leave=False, disable=len(runs) == 1 or None, delay=2):
            try:
                found.append((run, work(run)))
            except BadInput as error:
                if self.methods:
                    raise
                refused.append(error)
        if not found:
            raise refused[0]
        return found

    def part(self) -> list[Run]:
        """The same, of the samples that pass the network at one time."""
        runs = self.runs()
        size = -(-self.batch // self.parts)
        return [replace(run, training=replace(run.training, batch_size=size, accumulate=1)) for run in runs]

    def setup(self) -> Setup:
        """How it is carried out.

        Raises:
            BadInput: options that contradict each other.
        """
        from bench.training.gpu_step import Setup
        from bench.training.optimizers import KINDS

        if self.optimizer not in KINDS:
            from bench.errors import unknown

            raise unknown("optimizer", self.optimizer, KINDS)
        base = self.base or ("fp32" if self.precision == "fp32" or not self.writes else "bf16")
        if base != "fp32" and self.precision == "fp32":
            raise BadInput(f"--base {base} and --precision fp32: the base's products are in 16 bits; leave one out")
        autocast = base == "fp32" and (self.precision == "bf16" or (self.base is None and self.precision == "auto"))
        return Setup(
            base=base,
            adapter="" if base == "fp32" else "fp32",
            autocast=autocast,
            attention=self.attention or "sdpa",
            optimizer=self.optimizer,
            accumulation=self.parts,
            dropout=self.dropout if self.model.families != ("text",) else 0.0,  # of texts, the model has it
        )

    @property
    def writes(self) -> bool:
        """Whether the next token is what is trained."""
        from bench.tasks import LanguageModelling

        return isinstance(self.task, LanguageModelling)

    @property
    def other(self) -> bool:
        """Whether anything is asked for that this suite's own training has not."""
        return bool(self.writes or self.base or self.attention or self.dropout or self.optimizer not in OWN)


def as_on_gpus(asked: Asked, *, device: str, fit: str | None, shown: Shown) -> bool:
    """Estimates and prints, if anything is asked for that this suite's own training has not.

    Returns:
        Whether it was.

    Raises:
        BadInput: options that contradict each other, or of another device than CUDA.
    """
    if asked.every != 1 and not asked.checkpointing:
        raise BadInput(f"--checkpoint-every {asked.every}: say --checkpointing too")
    if not asked.other and (asked.methods or fit is None):
        return False
    if not device.startswith("cuda"):
        raise BadInput(f"device {device!r}: language models, --base, --attention and the like are estimated for cuda")
    if not 0 <= asked.dropout < 1:
        raise BadInput(f"--dropout {asked.dropout}: needs a rate from 0 up to, not including, 1")
    setup = asked.setup()
    if fit is None:
        _estimates(asked, setup, device=device, shown=shown)
        return True
    from bench.cli.fit_table import table

    if shown.explain:
        raise BadInput("--explain is of one batch, and a table of what fits has many: leave --fit or --explain out")
    if asked.every != 1:
        raise BadInput(f"--checkpoint-every {asked.every}: a table of what fits is of every block; leave it out")
    table(asked, setup, fit, as_json=shown.as_json)
    return True


def _estimates(asked: Asked, setup: Setup, *, device: str, shown: Shown) -> None:
    import json

    from bench.training.gpu_step import estimate

    found = asked.each(lambda run: estimate(run, setup), part=True)
    if shown.as_json:
        told = [{"method": repr(run.method), **_data(each), **_how(run, asked, setup)} for run, each in found]
        print(json.dumps(told[0] if len(told) == 1 else told))
        return
    _print(found, asked, setup)
    if shown.explain:
        from bench.cli.explanation import explain

        peaks = [(run, each.phases[each.phase]) for run, each in found]
        explain(peaks, device=device, precision=_precision(setup), setup=setup, figure=shown.figure)


def _data(found: Estimate) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "allocated": found.allocated,
        "reserved": found.reserved,
        "nvidia_smi": found.shown,
        "after_step": found.after,
        "cuda": asdict(found.own),
        "phase": found.phase,
        "breakdown": found.phases[found.phase].breakdown,
        "phases": {phase: moment.total for phase, moment in found.phases.items()},
    }


def _how(run: Run, asked: Asked, setup: Setup) -> dict[str, Any]:
    return {
        "model": repr(asked.model),
        "task": repr(asked.task),
        "batch": asked.batch,
        "base": setup.base,
        "adapter": setup.adapter or setup.base,
        "autocast": setup.autocast,
        "attention": setup.attention,
        "optimizer": setup.optimizer,
        "parts": asked.parts,
        "checkpointing": run.training.activation_checkpointing,
    }


def _print(found: Sequence[tuple[Run, Estimate]], asked: Asked, setup: Setup) -> None:
    from bench.cli.explanation import named
    from bench.cli.memory_parts import parts_of, print_share
    from bench.costs.units import readable
    from bench.execution import console

    head, cells = parts_of([each.phases[each.phase].breakdown for _, each in found])
    rows = [
        (named(run), *map(readable, (each.allocated, each.reserved, each.shown)), *parts)
        for (run, each), parts in zip(found, cells, strict=True)
    ]
    console.table(("method", "allocated", "reserved", "nvidia-smi", *head), rows, right=1)
    print(f"\nbatch {asked.batch:,}, {_said(asked, setup)}; estimated for CUDA from shapes")
    print(
        "allocated: live tensors at the peak, what they are made of behind it, cuBLAS's workspaces among other; "
        "reserved: what CUDA's allocator keeps"
    )
    print_share([(run, each.own) for run, each in found])
    print("bench published holds such estimates against figures that others have published of their GPUs")


def _said(asked: Asked, setup: Setup) -> str:
    """The settings, in words."""
    length = getattr(asked.model, "max_length", None)
    kind = getattr(asked.task, "loss_kind", "")
    parts = [
        f"{length:,} tokens" if length else "",
        _precision(setup),
        f"adapters in {setup.adapter}" if setup.adapter else "",
        f"{setup.attention} attention",
        setup.optimizer,
        f"loss {kind}" if kind else "",
        "checkpointing" if asked.checkpointing else "",
        f"in {asked.parts} parts" if asked.parts > 1 else "",
    ]
    return ", ".join(part for part in parts if part)


def _precision(setup: Setup) -> str:
    return f"base in {setup.base}" + " with products in bf16" * setup.autocast
