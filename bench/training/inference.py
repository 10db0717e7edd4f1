"""What an adapted network costs once it is trained: latency and throughput, unmerged and merged, and its checkpoint.

Houlsby et al. 2019 (arXiv:1902.00751) pay for adapters at every inference; LoRA (arXiv:2106.09685, section 4.1) folds
its update into the weights and pays nothing. Both are measured against the untouched base, in turns.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable
from typing import Any

import torch

from bench.costs.time import side_by_side
from bench.errors import BadInput
from bench.methods import merge
from bench.models import Backbone
from bench.training.keeping import kept
from bench.training.run import Network, Run


def latencies(run: Run, backbone: Backbone, network: Network, *, device: str, precision: str) -> dict[str, Any]:
    """Times forward passes of the trained network, of itself with its method merged, and of the untouched base.

    All three are in evaluation mode, without gradient, on inputs of the largest size, with what the head does after
    them, and take turns.

    Args:
        run: what was trained.
        backbone: adapted, for example inputs.
        network: on the device; it is left in evaluation mode.
        device: torch device.
        precision: "bf16" or "fp32", as resolved.

    Returns:
        "latency": median seconds of one sample, by "base", "unmerged" and, where the method leaves nothing of its own
        in the network once merged, "merged" ("unmerged" alone adds something then); "throughput": samples a second in
        batches of "batch", likewise. Where it could not be measured (out of memory), "reason".
    """
    try:
        return _latencies(run, backbone, network, device=device, precision=precision)
    except Exception as error:  # the run itself went well, and is not lost for it
        if torch.device(device).type == "cuda":
            torch.cuda.empty_cache()
        return {"reason": f"{type(error).__name__}: {error}".splitlines()[0]}


def _latencies(run: Run, backbone: Backbone, network: Network, *, device: str, precision: str) -> dict[str, Any]:
    kind, batch = torch.device(device).type, run.training.batch_size
    forms = versions(run, network, device=device)

    def passes(n: int) -> dict[str, Callable[[], object]]:
        inputs = backbone.batch(n)

        def forward(form: Network) -> object:
            with torch.inference_mode(), torch.autocast(kind, torch.bfloat16, enabled=precision == "bf16"):
                return form(inputs)

        return {name: (lambda form=form: forward(form)) for name, form in forms.items()}  # type: ignore[misc]

    one, many = (side_by_side(passes(n), device=device) for n in (1, batch))
    return {
        "latency": one,
        "throughput": {name: batch / seconds for name, seconds in many.items()},
        "batch": batch,
    }


def versions(run: Run, network: Network, *, device: str) -> dict[str, Network]:
    """The untouched base under the same head, the network as it was trained, and merged where that takes all away."""
    base = run.model.build(device=device, seed=run.seed, output=run.task.output).module
    network.features = network.backbone.__call__  # of the whole, where a frozen prefix was cached
    network.zero_grad(set_to_none=True)
    found = {"base": Network(base, network.head), "unmerged": network}
    if network.backbone.state_dict().keys() != base.state_dict().keys():
        merged = copy.deepcopy(network.backbone)
        with contextlib.suppress(BadInput):  # what cannot be merged is used as it is
            merged = merge(merged, run.method)
        if merged.state_dict().keys() == base.state_dict().keys():
            found["merged"] = Network(merged, network.head)
    for form in found.values():
        form.eval()
    return found


def stored(network: Network) -> dict[str, int]:
    """Bytes that a checkpoint needs beside the base's weights: of `bench.training.keeping.kept`.

    Returns:
        Of "backbone" and "head" apart.
    """
    sizes = {"backbone": 0, "head": 0}
    seen: dict[int, str] = {}  # what shares a tensor stores it once
    for name, tensor in kept(network).items():
        part = name.partition(".")[0]
        if seen.setdefault(id(tensor), name) == name:
            sizes[part] += tensor.nbytes
    return sizes
