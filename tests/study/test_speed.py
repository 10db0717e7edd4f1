"""Seconds of a run, estimated: on which batches its steps are timed."""

from __future__ import annotations

import torch

from bench.study.speed import TIMED, typical


class Lengths:
    """Samples of given lengths, those of about one length together, as texts have them."""

    def __init__(self, lengths: torch.Tensor) -> None:
        self.lengths = lengths

    def batches(self, size, order):
        return list(torch.argsort(self.lengths).split(size))


def test_steps_are_timed_on_batches_padded_to_about_the_mean():
    generator = torch.Generator().manual_seed(0)
    lengths = (4 * torch.randn(400, generator=generator).exp()).long().clamp(2, 128)
    batches = Lengths(lengths).batches(16, None)
    padded = torch.tensor([16.0 * int(lengths[index].max()) for index in batches])
    timed = [16 * int(lengths[index].max()) for index in typical(Lengths(lengths), 16)]
    assert len(timed) == TIMED and padded[:TIMED].mean() < 0.5 * padded.mean()  # the first would mislead
    nearest = (padded - padded.mean()).abs().sort().values[:TIMED]
    assert sorted(abs(each - float(padded.mean())) for each in timed) == nearest.tolist()
