"""The update of the weights: what LoRA's rank, full fine-tuning and a probe leave behind."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bench.methods import BitFit, FullFineTuning, Houlsby, LinearProbe, LoRA, Method
from bench.models import adapt
from bench.stats import effective_rank, stable_rank
from bench.training.method_checks import VIT
from bench.training.update import of_update


def changed(method: Method, *, by: float = 0.1) -> dict[str, object]:
    """The spectra after all that trains was moved at random."""
    backbone = VIT.build(device="cpu", seed=0, output="pooled")
    adapt(backbone, method)
    dice = torch.Generator().manual_seed(1)
    for p in backbone.module.parameters():
        if p.requires_grad:
            p.data += by * torch.randn(p.shape, generator=dice)
    return of_update(VIT, method, backbone, seed=0, output="pooled")


def test_lora_changes_what_it_is_put_on_by_its_rank() -> None:
    found = changed(LoRA(rank=2, at=("q", "v")))
    assert found["epsilon"] == 0.5 and found["top"] == 10
    assert set(found["roles"]) == {"q", "v"}  # type: ignore[call-overload]
    for figures in found["roles"].values():  # type: ignore[attr-defined]
        assert all(1 <= value <= 2.001 for value in figures["effective_rank"])
        assert all(size > 0 for size in figures["relative_norm"])


def test_full_fine_tuning_is_as_numpy_has_it_on_the_fused_rows() -> None:
    base, tuned = (VIT.build(device="cpu", seed=0, output="pooled") for _ in range(2))
    adapt(tuned, FullFineTuning())
    weight = dict(tuned.module.named_parameters())["blocks.0.attn.qkv.weight"]
    width = weight.shape[1]
    weight.data[width : 2 * width] += torch.randn(width, width, generator=torch.Generator().manual_seed(2))
    found = of_update(VIT, FullFineTuning(), tuned, seed=0, output="pooled")["roles"]
    assert set(found) == {"k"} and len(found["k"]["stable_rank"]) == 1
    before, after = (
        dict(each.module.named_parameters())["blocks.0.attn.qkv.weight"][width : 2 * width].detach().double().numpy()
        for each in (base, tuned)
    )
    values = np.linalg.svd(after - before, compute_uv=False)
    assert found["k"]["stable_rank"] == [pytest.approx(stable_rank(values), rel=1e-3)]
    assert found["k"]["effective_rank"] == [pytest.approx(effective_rank(values), rel=1e-3)]
    left, own = (np.linalg.svd(each)[0] for each in (before, after))
    assert found["k"]["intruders"] == [int((np.abs(left.T @ own[:, :10]).max(0) < 0.5).sum())]


@pytest.mark.parametrize("method", [LinearProbe(), BitFit(), Houlsby(width=2)])
def test_what_changes_no_weight_matrix_has_no_spectrum(method: object) -> None:
    assert changed(method) == {}
