"""Corruptions of pictures: what each does, more of it at every severity, and the same each time."""

from __future__ import annotations

import pytest
import torch

from bench.tasks.images.corruptions import CORRUPTIONS, corrupted

PICTURES = torch.randint(40, 216, (6, 3, 64, 64), generator=torch.Generator().manual_seed(0)).to(torch.uint8)


def smooth() -> torch.Tensor:
    """Pictures with edges and areas, as photographs have them; no edge where blocks of pixels begin."""
    small = torch.randint(0, 256, (6, 3, 9, 9), generator=torch.Generator().manual_seed(1)).float()
    return torch.nn.functional.interpolate(small, size=64, mode="nearest").to(torch.uint8)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_grows_with_severity_and_is_the_same_each_time(name: str) -> None:
    x = smooth()
    away = [(corrupted(x, name, s).float() - x.float()).abs().mean().item() for s in range(1, 6)]
    assert away[4] > away[2] > away[0] > 0
    state = torch.get_rng_state()
    once, again = (corrupted(x, name, 3) for _ in range(2))
    assert torch.equal(once, again) and once.dtype == torch.uint8 and once.shape == x.shape
    assert torch.equal(state, torch.get_rng_state())  # training draws what it would have drawn


def test_noise_has_the_papers_strength_and_contrast_keeps_the_mean() -> None:
    grey = torch.full((2, 3, 64, 64), 128, dtype=torch.uint8)
    assert (corrupted(grey, "noise", 1).float() / 255).std().item() == pytest.approx(0.08, rel=0.05)
    worse = corrupted(PICTURES, "contrast", 2).float()
    assert worse.mean().item() == pytest.approx(PICTURES.float().mean().item(), abs=0.5)
    assert worse.std().item() == pytest.approx(0.3 * PICTURES.float().std().item(), rel=0.05)


def test_pixels_become_blocks() -> None:
    worse = corrupted(PICTURES, "pixels", 5)  # a quarter of the side: blocks of four
    assert torch.equal(worse[..., ::4, ::4].repeat_interleave(4, -1).repeat_interleave(4, -2), worse)
