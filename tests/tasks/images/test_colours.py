"""The baseline of colours: what it counts, and what it can and cannot tell apart."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from bench.tasks import ImageFolder
from bench.tasks.images.colours import ColourHistogram, histograms

pytestmark = pytest.mark.usefixtures("own_cache")


def test_every_quarter_has_its_own_shares_of_64_colours():
    pixels = np.zeros((2, 3, 32, 32), np.uint8)
    pixels[0, 0, :16, :16] = 255  # the first quarter is red
    pixels[1, :, :, 16:] = 70  # the right half is dark grey, level 1 of each channel
    found = histograms(pixels).reshape(2, 4, 64) ** 2
    assert found.sum(axis=2) == pytest.approx(1.0)
    assert (found[0, 0, 3 * 16], found[0, 1:, 0].tolist()) == (1.0, [1.0] * 3)
    assert found[1, :, 21].tolist() == [0.0, 1.0, 0.0, 1.0] and found[1, 0, 0] == 1.0


@pytest.mark.parametrize("told_apart", [True, False])
def test_it_knows_colours_and_nothing_else(tmp_path, told_apart):
    """Classes of two colours; and of vertical and horizontal stripes, which have the same colours everywhere."""
    dice = np.random.default_rng(0)
    for name in ("a", "b"):
        for i in range(20):
            pixels = dice.integers(0, 40, (32, 32, 3))
            if told_apart:
                pixels[..., 0 if name == "a" else 2] += 150
            else:
                offset = int(dice.integers(2))
                (pixels if name == "a" else pixels.swapaxes(0, 1))[offset::2] += 150
            path = tmp_path / "set" / name / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.astype(np.uint8)).save(path)
    task = ImageFolder(str(tmp_path / "set"))
    baseline = next(one for one in task.baselines if isinstance(one, ColourHistogram))
    found = baseline.evaluate(task, seed=0)
    assert (found.metrics["test"]["top1"] == 1.0) == told_apart and len(found.tuning["candidates"]) == 4
    assert set(found.outcomes) == {"val", "test"} and baseline.label(task).startswith("colour histogram")
