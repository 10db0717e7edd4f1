"""The protocol: how runs are made and measured. Its number stands in every record and in every run's id.

Who changes what a run computes or records, a default, or what an option means, raises `PROTOCOL` and says here what
changed. Runs of two protocols are never averaged, paired or counted as one (`bench.report.data.groups`).
"""

from __future__ import annotations

from collections.abc import Mapping

PROTOCOL: int = 2

HISTORY: Mapping[int, tuple[str, ...]] = {
    1: ("the first one.",),
    2: (
        "What became of every test and validation sample is recorded (`bench.records.outcomes`).",
        "Hyper-parameters are chosen by the task's loss on validation where that is a likelihood or an error (classes, "
        "answers, numbers), on two tuning seeds from scale laptop on; before by the headline metric, on one.",
        "No dropout by default, for any method; who asks for some gets it for every method.",
        "Activation checkpointing moves the running statistics of batch norm once a step; before twice.",
        "A forward pre-hook on the block where a cached frozen prefix ends acts once; before twice.",
        "Training of layer norms reaches norms that libraries write themselves (LlamaRMSNorm and kin).",
        "Trials are asked for in batches, from completed batches alone: the same values for any number of workers.",
        "Data and weights are known by a hash of all their bytes, taken when they are loaded.",
        "Pictures are put upright, transparent ones flattened, and what readers drop or mend is counted.",
        "Latency is measured once for all seeds; each epoch says its steps and seconds so far.",
    ),
}
"""What each protocol changed, in sentences."""


def changed(since: int) -> str:
    """What has changed since an older protocol, as one text."""
    return " ".join(said for number, those in sorted(HISTORY.items()) if number > since for said in those)
