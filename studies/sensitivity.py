"""Do fixed choices explain a result: the head's rate, alpha, the size of a batch?

Every other study holds them fixed, so that a difference between methods could be one between their fits to these
choices. Here each is searched together with the learning rate, and every point of the grid is tested on the final
seeds. Four rows, each on one task:

- The head's rate, which all methods share, also a decade lower and higher: full fine-tuning and LoRA on pictures.
- Alpha: 16 at every rank, as elsewhere, beside alpha = 2r, on pictures.
- The size of a batch, 8 to 64, at the same number of epochs: full fine-tuning and LoRA on text.
- The range of full fine-tuning's rate stands in the study of the learning rate, three decades wide.

Not measured yet.
"""

from __future__ import annotations

from typing import Any

from bench.methods import FullFineTuning, LoRA, Method
from bench.models import HuggingFace, Timm
from bench.space import Choice, Range, Space
from bench.study import Study, grid
from bench.tasks import Images, Task, Text
from bench.training import Training

NAME = "sensitivity"
QUESTION = "Do fixed choices explain a result: the head's rate, alpha, the size of a batch?"
PAIR = (FullFineTuning(), LoRA(rank=8))
ALPHAS = tuple(LoRA(rank=rank, alpha=alpha) for rank in (1, 64) for alpha in (16.0, 2.0 * rank))
FULL, LORA = Range(2e-5, 2e-4, log=True, default=6.325e-5), Range(1e-3, 1e-2, log=True, default=3.162e-3)
"""A decade around the best rates of the learning-rate study."""
POINTS = {("lr",): 2, ("lr", "head_lr"): 3, ("lr", "batch_size"): 3}
"""Of the grids at `smoke`."""
HEADS = Choice(1e-4, 1e-3, 1e-2, default=1e-3)


def study(scale: str) -> tuple[Study, ...]:
    """Three rows; the rates of head and batch with the learning rate, alpha by itself."""
    match scale:
        case "smoke":
            vit, bert = Timm("test_vit", weights="random", image_size=32), HuggingFace("test-bert", weights="random")
            digits, names = (
                Images("digits", train=60, val=30, test=60),
                Text("unicode-names", train=60, val=30, test=60),
            )
            pictures = texts = Training(epochs=1)
        case "full":
            vit = Timm("vit_small_patch14_dinov2", image_size=224)
            bert = HuggingFace("minilm-l6", max_length=256, dropout=0.0)
            digits, names = Images("elpv"), Text("rotten-tomatoes", train=6000, val=1000)
            pictures, texts = Training(epochs=20), Training(epochs=5)
        case _:
            vit = Timm("vit_small_patch14_dinov2", image_size=56)
            bert = HuggingFace("minilm-l6", max_length=64, dropout=0.0)
            night = scale == "overnight"
            digits = Images("orl-faces") if night else Images("elpv", train=400, val=200)
            names = Text("rotten-tomatoes", train=400 if night else 800, val=400)
            pictures = Training(epochs=16 if night else 4)
            texts = Training(epochs=5 if night else 2, batch_size=16)
    batches = Choice(8, 16, 64, default=16)
    return (
        row(scale, digits, vit, PAIR, pictures, over=("lr", "head_lr"), fixed={"head_lr": HEADS}, trials=6),
        row(scale, digits, vit, ALPHAS, pictures, over=("lr",), fixed={}, trials=3),
        row(scale, names, bert, PAIR, texts, over=("lr", "batch_size"), fixed={"batch_size": batches}, trials=6),
    )


def row(
    scale: str,
    task: Task,
    model: Any,
    methods: tuple[Method, ...],
    training: Training,
    *,
    over: tuple[str, ...],
    fixed: Space,
    trials: int,
) -> Study:
    """One row: a grid over the learning rate and what is fixed elsewhere, each point tested on three seeds.

    Args:
        scale, task, model, methods, training: of the row.
        over: names searched.
        fixed: what is fixed elsewhere, and the values it has here.
        trials: points of the grid.
    """
    spaces = {"LoRA": {"lr": LORA, **fixed}, "FullFineTuning": {"lr": FULL, **fixed}}
    named = {type(method).__name__ for method in methods}
    return Study(
        name=NAME,
        question=QUESTION,
        tasks=(task,),
        models=(model,),
        methods=methods,
        training=training,
        seeds=(0, 1, 2),
        tune=grid(
            scale, trials=trials if scale != "smoke" else POINTS[over], over=over, untuned=0,
            spaces={name: space for name, space in spaces.items() if name in named},
        ),
        sweep=len(over) > 1,
    )  # fmt: skip
