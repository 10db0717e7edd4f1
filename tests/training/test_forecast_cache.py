"""Estimates in the user's cache: the same again, and none where anything that they depend on has changed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch

from bench.execution.forecasts import Beside
from bench.methods import BitFit, FullFineTuning, LoRA, Together
from bench.models import HuggingFace
from bench.study.plan import run_of
from bench.training import forecast_cache
from bench.training.memory_forecast import KNOWN, alike, forecast_once
from tests.support.tiny_study import STUDY

RUN = alike(run_of(STUDY, replace(next(iter(STUDY.cells())), method=LoRA(rank=3))))


@pytest.fixture(autouse=True)
def own(tmp_path, monkeypatch):
    monkeypatch.setenv("LORA_BENCH_CACHE", str(tmp_path))
    monkeypatch.delenv("LORA_BENCH_FORECASTS")
    KNOWN.pop((RUN, "cpu"), None)
    return tmp_path


def planned(run=RUN):
    """What a plan that asks for one run knows before it has estimated anything, and the estimate."""
    with Beside("cpu", jobs=1) as beside:
        beside.ask([run])
        return (run, "cpu") in KNOWN, beside.forecast(run, device="cpu")


def test_the_next_plan_finds_the_same():
    first, made = planned()
    KNOWN.pop((RUN, "cpu"))
    again, found = planned()
    assert (first, again) == (False, True) and found == made and found.data == made.data


@pytest.mark.parametrize(
    "changed",
    [
        replace(RUN, method=LoRA(rank=4)),
        replace(RUN, method=FullFineTuning()),
        replace(RUN, training=replace(RUN.training, batch_size=5)),
        replace(RUN, model=replace(RUN.model, image_size=64)),
    ],
    ids=lambda run: repr(run.method),
)
def test_another_run_has_an_estimate_of_its_own(changed):
    forecast_cache.write({(RUN, "cpu"): forecast_once(RUN, device="cpu")})
    assert not forecast_cache.read([changed], "cpu") and not forecast_cache.read([RUN], "cuda")
    assert forecast_cache.read([RUN], "cpu")


@pytest.mark.parametrize(
    "change",
    [
        lambda patch: patch.setattr(forecast_cache, "_code", lambda: "other"),
        lambda patch: patch.setattr(forecast_cache, "use_fused_attn", lambda: False),
        lambda patch: patch.setattr(torch.backends.cuda, "flash_sdp_enabled", lambda: False),
        lambda patch: patch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True}),
        lambda patch: patch.setattr(type(RUN.task), "classes", 77),
        lambda patch: patch.setenv("LORA_BENCH_FORECASTS", "off"),
    ],
    ids=["code", "timm's switch", "torch's switch", "processor", "classes", "off"],
)
def test_what_it_depends_on_has_changed(change, monkeypatch):
    forecast_cache.write({(RUN, "cpu"): forecast_once(RUN, device="cpu")})
    assert forecast_cache.read([RUN], "cpu")
    change(monkeypatch)
    assert not forecast_cache.read([RUN], "cpu")


@dataclass(frozen=True, repr=False)
class Own(LoRA):
    """Defined outside the package."""


@pytest.mark.parametrize("method", [Own(rank=2), Together(Own(rank=2), BitFit())], ids=repr)
def test_what_is_defined_elsewhere_is_estimated_every_time(method, own):
    forecast_cache.write({(replace(RUN, method=method), "cpu"): forecast_once(RUN, device="cpu")})
    assert not list(own.rglob("*.json"))


def test_a_model_in_a_folder_is_estimated_every_time(own):
    run = replace(RUN, model=HuggingFace(str(own)))
    forecast_cache.write({(run, "cpu"): forecast_once(RUN, device="cpu")})
    assert not list(own.rglob("*.json"))


@pytest.mark.parametrize("content", ["", "{", "[]", "3", "{}", '{"memory": {"peak": 3}}'])
def test_what_is_not_whole_is_made_again(content, own):
    forecast_cache.write({(RUN, "cpu"): forecast_once(RUN, device="cpu")})
    (path,) = own.rglob("*.json")
    path.write_text(content)
    assert not forecast_cache.read([RUN], "cpu")
    forecast_cache.write({(RUN, "cpu"): forecast_once(RUN, device="cpu")})
    assert forecast_cache.read([RUN], "cpu")
