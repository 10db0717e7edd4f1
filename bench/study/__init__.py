"""What is to be run, and how a run becomes a record.

- study: what a file in `studies/` declares; `load` reads one.
- scales: the seeds and the tuning of each scale.
- tune: how hyper-parameters are chosen: budget, sampler, pruner, search spaces. `bench.execution.search` does it.
- bracket: where a search over one range goes on.
- trials: the trials of a search, and which of them is chosen. choice: how sure that is.
- plan: what a study would run, with exact counts and estimated times. speed: those of a run, from a few timed steps.
- own_data: what to try on data of one's own, and how much of it a budget buys.
- plugins: methods, tasks and models from outside.
- simulation: a study on any number of workers, on paper. schedule: what it simulates, from records and plan.
- recording: how a run becomes a record, and when a record spares a run. again: a run from its record.
"""

from bench.study.scales import SCALES, grid, night, night_rates, tuning
from bench.study.study import PLUGINS, Cell, Costs, Study, load, loaded, scales_of
from bench.study.tune import Tune
