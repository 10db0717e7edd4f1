"""What a study of robustness asks for: how many samples of the test part are measured again, and at what severities."""

from __future__ import annotations

from dataclasses import dataclass

from bench.errors import BadInput
from bench.spec import Spec


@dataclass(frozen=True, repr=False)
class Shifts(Spec):
    """Under which shifts a final run's test part is measured again (`bench.training.robustness`).

    Args:
        samples: of the test part, at equal distances; 0 for all. What is measured without a shift is of the same ones.
        severities: of every corruption that the task knows, from 1 to 5.
        alphas: weights of the tuned network in its mean with the one before training; 1 is the network as trained.
        at: the severity at which means of weights are measured too.
    """

    samples: int = 300
    severities: tuple[int, ...] = (1, 2, 3, 4, 5)
    alphas: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0)
    at: int = 3

    def __post_init__(self) -> None:
        if self.samples < 0:
            raise BadInput(f"samples {self.samples}: give a whole number ≥ 0 (0: all)")
        if not {*self.severities, self.at} <= set(range(1, 6)):
            raise BadInput(f"severities {self.severities!r}, at {self.at}: corruptions have severities 1 to 5")
        if not all(0 <= alpha <= 1 for alpha in self.alphas):
            raise BadInput(f"alphas {self.alphas!r}: weights of a mean lie from 0 to 1")

    def passes(self, *, corruptions: int, val: int, test: int) -> int:
        """Samples that go through the network, at most, beside those that every run is scored on.

        Args:
            corruptions: how many the task knows.
            val, test: sizes of these parts.
        """
        some = min(self.samples or test, test)
        shifted = 1 + corruptions * len(self.severities) + len(self.alphas) * (1 + corruptions)
        return some * shifted + val + test
