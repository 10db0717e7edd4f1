"""What there is, and what a method costs and holds: `bench methods`, `models`, `tasks`, `count`, `check`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli.authoring import From, use
from bench.cli.studies import complete_method
from bench.errors import BadInput

if TYPE_CHECKING:
    from bench.study import Cell

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
Named = Annotated[
    str,
    typer.Argument(
        help="A method, e.g. \"LoRA(rank=8, at=('q','v'))\"; bench methods lists them.",
        show_default=False,
        autocompletion=complete_method,
    ),
]


def methods(
    plugins: From = None,
    peft: Annotated[
        bool, typer.Option("--peft", help="Check every tuner of the installed peft, in minutes, and print the table.")
    ] = False,
    matrix: Annotated[
        bool, typer.Option("--matrix", help="Try every method on a network of each class, in a minute, and print that.")
    ] = False,
) -> None:
    """List the methods: what each does, its default configuration, and its search space.

    The text in the first column is how a method is written everywhere: here, in a study's file, in a record.

    Examples: `bench methods`, `bench methods --matrix`, `bench methods --peft`
    """
    if matrix:
        from bench.models import method_matrix

        return print(method_matrix.markdown())
    if peft:
        from bench.training.peft_table import markdown

        return print(markdown())
    from bench.execution import console
    from bench.methods import METHODS

    use(plugins)
    rows = [(repr(method()), console.first_line(method), console.space(method().space)) for method in METHODS.values()]
    console.table(("method", "what it does", "search space"), sorted(rows))


def models(
    pattern: Annotated[str, typer.Argument(help="Part of a name; * stands for anything.")] = "",
    matrix: Annotated[
        bool, typer.Option("--matrix", help="Which kind of method works on each family, or on the model PATTERN.")
    ] = False,
) -> None:
    """List models: without a PATTERN those whose weights need no hub, with one all names that match it.

    Of some hundred names the shapes are here: they can be counted and their memory estimated without any file. Of
    others a folder with a config.json is enough: `bench memory LoRA --model path/to/folder`.

    Examples: `bench models "vit_base*"`, `bench models llama`, `bench models --matrix`,
    `bench models beit_base_patch16_224 --matrix`
    """
    if matrix:
        print_matrix(pattern)
        return
    import timm

    from bench.execution import console
    from bench.models import known, offline
    from bench.models.shipped_shapes import SHIPPED, TOWERS

    if pattern:
        for name in known(pattern if "*" in pattern else f"*{pattern}*"):
            print(name)
        return
    console.table(("model", "weights", "asset"), offline())
    print(
        f"\nand {len(timm.list_models()):,} more for images by their name in timm: bench models PATTERN"
        "\nand torchvision's detectors, for detection: Torchvision('fcos_resnet50_fpn')"
        f"\nand {len(SHIPPED) + len(TOWERS)} shapes under their names on the hub, to count and to estimate memory "
        "without files: bench models llama"
        "\nand any encoder or decoder for text from Hugging Face, or a folder of yours: HuggingFace('roberta-base')"
    )


def print_matrix(name: str) -> None:
    """Prints, family by family or for one model, which kinds of methods work, and why the others do not."""
    from bench.execution import console
    from bench.models import resolve
    from bench.models.matrix import families, matrix

    told: dict[tuple[str, str], list[str]] = {}
    for model, kind, verdict in matrix({name: resolve(name)} if name else families()):
        told.setdefault((model, verdict), []).append(kind)
    rows = [(model, "; ".join(kinds), verdict) for (model, verdict), kinds in told.items()]
    console.table(("model", "methods", "tried on shapes alone"), rows)


def tasks() -> None:
    """List the tasks: sets of images, text and boxes that come with the suite, and your own data.

    Example: `bench tasks`
    """
    from bench.execution import console
    from bench.tasks import listing

    console.table(("task", "what it is", "classes"), listing())


def count(
    method: Named,
    model: Annotated[
        str,
        typer.Option(help="A name in timm or transformers, or \"Timm('resnet50', image_size=96)\"."),
    ] = "vit_base_patch16_224",
    task: Annotated[
        str | None,
        typer.Option(help="What the head is for: a set's name, or \"Images('cifar100')\".", show_default=False),
    ] = None,
    as_json: Json = False,
    plugins: From = None,
) -> None:
    """Count the parameters that a method trains, exactly, without fetching weights or data.

    Those of the backbone are the method's; the head is trained by every method and counted apart.

    Examples: `bench count "LoRA(rank=8, at=('q','v'))" --model vit_base_patch16_224 --json`,
    `bench count "LoRA(rank=32)" --model meta-llama/Llama-3.2-3B`,
    `bench count LoRA --model roberta-base --task "Text('rotten-tomatoes', head_kind='mlp')"`,
    `bench count "LoRA(rank=8, at=('conv','proj'))" --model fcos_resnet50_fpn --task tree-crowns`,
    `bench count Rescale --from rescale.py`
    """
    import json

    use(plugins)

    from bench.execution import console
    from bench.study.plan import parameters

    counts = parameters(cell_of(method, model, task))
    if as_json:
        print(json.dumps(counts))
    else:
        named = [("backbone, at the start" if part == "start" else part, f"{n:,}") for part, n in counts.items()]
        console.table(("trainable", "parameters"), named, right=1)


def cell_of(method: str, model: str, task: str | None) -> Cell:
    """A method on a model under a task's head, as the command line names them; by default the family's usual task."""
    import bench.models as model_table
    import bench.tasks as task_table
    from bench.methods import METHODS
    from bench.spec import parse
    from bench.study import Cell

    backbone_of = model_table.resolve(model)
    head_of = task_table.resolve(task) if task else task_table.usual(backbone_of)
    return Cell(head_of, backbone_of, parse(method, known=METHODS, kind="method"))


def check(
    method: Annotated[
        str, typer.Argument(help='A method, e.g. "LoRA(rank=4)".', show_default=False, autocompletion=complete_method)
    ],
    model: Annotated[
        str | None, typer.Option(help="By default a small ViT, ResNet and BERT, pooled and on maps.")
    ] = None,
    plugins: From = None,
) -> None:
    """Check a method, for its author: it starts as the base network, trains only what it should, merges exactly, …

    Each check works on tiny random networks in float64. Exit code 1 if one fails.

    Examples: `bench check "Houlsby(width=8)"`, `bench check Rescale --from rescale.py`
    """
    use(plugins)

    from bench.execution import console
    from bench.methods import METHODS
    from bench.models import resolve
    from bench.spec import parse
    from bench.training import method_checks

    parsed: Any = parse(method, known=METHODS, kind="method")
    where = [resolve(model).untrained()] if model else list(method_checks.MODELS)
    rows, failed = method_checks.report(parsed, where)
    console.table(("model", "check", "result"), rows)
    if not any(result == "ok" for *_, result in rows) and not failed:
        raise BadInput(f"{parsed!r} fits none of these models: name one that it fits with --model")
    raise typer.Exit(1 if failed else 0)
