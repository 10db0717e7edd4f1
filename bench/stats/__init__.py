"""Statistics on scores: pure functions; whatever draws is given a generator.

- intervals: of a mean over seeds, of an aggregate over tasks. paired: differences of two methods on the same seeds.
- samples, average_precision: metrics from what became of single samples and pictures.
- aggregate: over runs and tasks (interquartile mean, optimality gap, …). fronts: score against cost.
- spectra: of an update of weights; how alike features are before and after.
"""

from bench.stats.aggregate import iqm, normalised, optimality_gap, performance_profile, probability_of_improvement
from bench.stats.fronts import hypervolume, pareto_front, ppt, saturation_rank
from bench.stats.intervals import clipped, mean_interval, noise_floor, stratified_bootstrap, stratified_interval
from bench.stats.paired import Difference, has_width, holm, mean_difference, paired, sign_flip_test
from bench.stats.spectra import EPSILON, TOP, effective_rank, intruders, linear_cka, stable_rank

__all__ = [
    "EPSILON",
    "TOP",
    "Difference",
    "clipped",
    "effective_rank",
    "has_width",
    "holm",
    "hypervolume",
    "intruders",
    "iqm",
    "linear_cka",
    "mean_difference",
    "mean_interval",
    "noise_floor",
    "normalised",
    "optimality_gap",
    "paired",
    "pareto_front",
    "performance_profile",
    "ppt",
    "probability_of_improvement",
    "saturation_rank",
    "sign_flip_test",
    "stable_rank",
    "stratified_bootstrap",
    "stratified_interval",
]
