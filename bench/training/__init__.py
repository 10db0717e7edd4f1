"""One run: a method on a model on a task with one seed.

- recipe: options, precision, optimiser, schedule, and what is in training mode. A new training option goes here.
- run: what a run is; network, optimiser and step of one, assembled. device: where it runs.
- loop: training, validation, the one test; what a run found (`Outcome`).
- inference: latency and size of what was trained. keeping: what of it is kept.
- examination: what is measured of a tested network. retention: what it still knows of an old task. update: what
  training did to its weights. robustness: what it does where data shift; shifts: which are asked for.
- memory_forecast: the memory of a run, estimated before it is run.
- forecast_cache: estimates that another plan has made.
- activations: which layers' operations hold what is kept for the backward pass.
- gpu_step: the memory of a step as people carry it out on GPUs: base in 16 or 4 bits, reserved.
- gpu_setup: how such a step is carried out. detector_step: the same of a detector, by a real step on the CPU.
- memory_fit: what fits into a memory, by method, precision of the base, checkpointing, batch and length.
- optimizers: as people run them, by the bytes that they take.
- method_checks: what every method must hold; `bench check`. A new check goes here. check_networks: on what.
  peft_table: the same of peft's tuners.
"""

from bench.training.loop import Outcome, train
from bench.training.recipe import Training
from bench.training.run import Network, Ready, Run, assemble, ready
