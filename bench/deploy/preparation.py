"""How a new file or text becomes an input where this package is not installed: lines for the model card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.tasks.pictures import WHITE


def lines(family: str, how: Mapping[str, Any], *, task: Any, arrays: bool = False) -> tuple[str, ...]:
    """Python that ends with `inputs`, exactly as this package makes them.

    Args:
        family: "images", "text" or "detection".
        how: the preprocessing in a run's kept weights.
        task: of the run: what lies behind transparent pictures.
        arrays: whether the input is one of numpy and not of torch.
    """
    if family == "text":
        kind = "np" if arrays else "pt"
        return (
            "from transformers import AutoTokenizer",
            "tokenizer = AutoTokenizer.from_pretrained('.')",
            "inputs = tokenizer(['a new text'], padding=True, truncation=True, "
            f"max_length={how.get('length')}, return_tensors={kind!r})",
        )
    mean, std = (tuple(round(float(v), 6) for v in how[key]) for key in ("mean", "std"))
    cut = _padded if family == "detection" else _square
    return (
        "import numpy",
        *(() if arrays else ("import torch",)),
        "from PIL import Image, ImageOps",
        "picture = ImageOps.exif_transpose(Image.open('new.png')).convert('RGBA')",
        f"behind = Image.new('RGBA', picture.size, {getattr(task, 'background', WHITE)!r})",
        "picture = Image.alpha_composite(behind, picture).convert('RGB')",
        *cut(int(how["size"]), mean),
        f"pixels = (numpy.asarray(picture) / 255 - {mean!r}) / {std!r}",
        "inputs = pixels.transpose(2, 0, 1)[None].astype('float32')",
        *(() if arrays else ("inputs = torch.from_numpy(inputs)",)),
    )


def _square(size: int, mean: tuple[float, ...]) -> tuple[str, ...]:
    return (
        f"sides = [max({size}, round(side * {size} / min(picture.size))) for side in picture.size]",
        "picture = picture.resize(sides, Image.Resampling.BICUBIC)",
        f"left, top = ((side - {size}) // 2 for side in sides)",
        f"picture = picture.crop((left, top, left + {size}, top + {size}))",
    )


def _padded(size: int, mean: tuple[float, ...]) -> tuple[str, ...]:
    fill = tuple(round(255 * value) for value in mean)
    return (
        f"sides = [max(1, round(side * {size} / max(picture.size))) for side in picture.size]",
        "across, down = (a / b for a, b in zip(picture.size, sides))  # boxes times these are in the picture's pixels",
        "picture = picture.resize(sides, Image.Resampling.BICUBIC)",
        f"square = Image.new('RGB', ({size}, {size}), {fill!r})",
        "square.paste(picture)",
        "picture = square",
    )
