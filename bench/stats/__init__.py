"""Statistics on scores: pure functions; whatever draws is given a generator.

- intervals: of a mean over seeds, of an aggregate over tasks. paired: differences of two methods on the same seeds.
- crossed: of a mean over seeds and samples, both random; how often such intervals hold stands in COVERAGE.md.
- recommendation: the cheapest of several that is as good as the best, as far as the data tell.
- distributions: quantiles and tails.
- samples, average_precision: metrics from what became of single samples and pictures.
- aggregate: over runs and tasks (interquartile mean, optimality gap, …). fronts: score against cost.
- spectra: of an update of weights; how alike features are before and after.
"""

from bench.stats.aggregate import iqm, normalised, optimality_gap, performance_profile, probability_of_improvement
from bench.stats.crossed import Mean, crossed, over_tasks, pooled_variance, pseudo_values, seeds_alone
from bench.stats.fronts import hypervolume, pareto_front, ppt, saturation_rank
from bench.stats.intervals import clipped, mean_interval, noise_floor, stratified_bootstrap, stratified_interval
from bench.stats.paired import Difference, crossed_difference, has_width, holm, mean_difference, paired, sign_flip_test
from bench.stats.spectra import EPSILON, TOP, effective_rank, intruders, linear_cka, stable_rank

__all__ = [
    "EPSILON",
    "TOP",
    "Difference",
    "Mean",
    "clipped",
    "crossed",
    "crossed_difference",
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
    "over_tasks",
    "paired",
    "pareto_front",
    "performance_profile",
    "pooled_variance",
    "ppt",
    "probability_of_improvement",
    "pseudo_values",
    "saturation_rank",
    "seeds_alone",
    "sign_flip_test",
    "stable_rank",
    "stratified_bootstrap",
    "stratified_interval",
]
