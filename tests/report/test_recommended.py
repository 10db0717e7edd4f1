"""What is recommended of made-up records, in the words of the issue."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from bench.cli import app
from bench.errors import BadInput
from bench.records import Records
from bench.records.outcomes import collected, encode
from bench.report.data.advice import advice
from bench.report.data.groups import groups
from bench.report.data.recommended import Limits, recommend, stored
from bench.report.tables.recommended import frame
from tests.support.report_records import record, reference

PROBE = ("LinearProbe", {}, 0, 0.873, 1.2)
LORA = ("LoRA", {"rank": 8, "at": ["q", "v"]}, 147_456, 0.913, 11.2)
FULL = ("FullFineTuning", {}, 21_589_632, 0.917, 18.4)
COSTS = {
    "LinearProbe": (90 * 2**20, 3_000),
    "LoRA": (160 * 2**20, 2_697_000),
    "FullFineTuning": (400 * 2**20, 86_000_000),
}


def outcomes(name, share, seed, samples):
    """Right on a share of the samples: the same ones for all methods and seeds, but for a hundredth either way."""
    rng = np.random.default_rng([seed, len(name)])
    right = np.arange(samples) < share * samples
    for side in (np.flatnonzero(right), np.flatnonzero(~right)):
        right[rng.choice(side, samples // 100, replace=False)] ^= True
    label = np.arange(samples) % 2
    return encode(
        collected("classes", np.arange(samples), {
            "label": label, "predicted": np.where(right, label, 1 - label), "nll": np.where(right, 0.1, 2.0),
        })
    ), float(right.mean())  # fmt: skip


def made(cases=(PROBE, LORA, FULL), *, samples=500, seeds=(0, 1, 2), **changes):
    found = []
    for case in cases:
        memory, size = COSTS[case[0]]
        for seed in seeds:
            kept, top1 = outcomes(case[0], case[3], seed, samples)
            scores = {"top1": top1, "macro_f1": top1 - 0.01, "loss": 1 - top1}
            own = {
                "metrics": {"val": scores, "test": scores}, "outcomes": {"test": kept},
                "memory": {"peak": memory, "kind": "foretold"}, "checkpoint": {"backbone": size, "head": 0},
                "inference": {"latency": {"base": 0.01, "unmerged": 0.02, **({"merged": 0.01} if case[1] else {})}},
                "provenance": {"data_sha256": "a", "test_samples": samples, "ended": "2025"},
            }  # fmt: skip
            found.append(record(case, seed, **own | changes))
    return [*found, *(reference(seed, 0.8) for seed in seeds)]


def of(records, **options):
    return recommend(groups(records)[0], **options)


def test_the_cheapest_that_is_not_significantly_worse_with_its_reasons():
    found = of(made())
    assert (found.recommended.label, found.best.label) == ("LoRA r=8", "full fine-tuning")
    first, *others = advice(found)
    assert (
        first.startswith("Use LoRA r=8: top-1 accuracy .9")
        and ", not significantly below full fine-tuning (.9" in first
    )
    assert first.endswith("), 0.4 of its memory, 2.7 MB to store.")
    assert any(line.startswith("Significantly worse than the best: linear probe (−") for line in others)
    assert "Without a network: word counts, all 9,700 texts .800." in others


def test_what_cannot_be_decided_is_said_and_what_would():
    _, undecided, more, *_ = advice(of(made()))
    assert undecided.startswith("Cannot decide: by these data full fine-tuning (") and " points)" in undecided
    assert more.startswith("To show that full fine-tuning is not better by a point you would need about ")
    assert more.endswith(" more test pictures.")
    lower = (*FULL[:3], 0.909, 18.4)
    assert advice(of(made((LORA, lower), samples=1000)))[2].startswith("Without a network"), "decided"
    apart = advice(of(made((("LoRA", {"rank": 8}, 147_456, 0.925, 11.2), (*FULL[:3], 0.915, 18.4)), samples=200)))
    assert apart[2].startswith("To tell LoRA r=8 from full fine-tuning apart you would need about ")
    assert any("Decided: no other is better by more than a point" in line for line in advice(of(made(samples=8000))))
    one = advice(of(made(seeds=(0,))))
    assert "(one seed)" in one[0] and one[1].startswith("Cannot decide"), "without intervals nothing is"
    assert advice(of(made((FULL,))))[1] == "Cannot decide: there is nothing to compare it with."


def test_limits_cut_off_and_are_said():
    found = of(made(), limits=Limits(memory=100 * 2**20))
    assert found.recommended.label == "linear probe"
    assert advice(found)[-1].startswith("Beyond the limits: LoRA r=8 (160 MiB of training memory, 100 MiB allowed)")
    assert of(made(), limits=Limits(parameters=10)).recommended.label == "linear probe"
    assert of(made(), limits=Limits(latency=0.015)).recommended.label == "LoRA r=8", "merged it is as quick as the base"
    with pytest.raises(
        BadInput, match="nothing recorded is within these limits; linear probe: 90 MiB of training memory"
    ):
        of(made(), limits=Limits(memory=2**20))
    unknown = of(made(), limits=Limits(latency=1.0))
    assert not unknown.dropped and unknown.latencies[unknown.best.label] == 0.02 and stored(unknown.best) == 86_000_000


def test_by_another_metric_and_another_cost():
    assert of(made(), metric="loss").best.label == "full fine-tuning", "the lowest"
    assert "macro F1 .9" in advice(of(made(), metric="macro_f1"))[0]
    assert [c.label for c in of(made(), by="memory").candidates] == ["linear probe", "LoRA r=8", "full fine-tuning"]
    with pytest.raises(BadInput, match="did you mean 'macro_f1'"):
        of(made(), metric="macrof1")
    with pytest.raises(BadInput, match="did you mean 'memory'"):
        of(made(), by="memry")


def test_a_beaten_network_is_said():
    records = [r for r in made() if r["phase"] != "reference"] + [reference(seed, 0.93) for seed in (0, 1, 2)]
    assert any(
        line.startswith("Beware: it is not significantly better than word counts") for line in advice(of(records))
    )


def test_as_a_table():
    table = frame(of(made()))
    assert list(table.method) == ["linear probe", "LoRA r=8", "full fine-tuning"]
    assert table.recommended.tolist() == [False, True, False]
    assert table.verdict.tolist() == ["significantly worse", "no significant difference", "best mean"]


def test_on_the_command_line(tmp_path):
    for each in made():
        Records(tmp_path / "mine" / "laptop").write(each)
    there = ["--results", str(tmp_path)]
    told = CliRunner().invoke(app, ["recommend", "--study", "mine", *there]).output
    assert "mine: elpv" in told and "Use LoRA r=8" in told and "→ LoRA r=8" in told
    (found,) = json.loads(CliRunner().invoke(app, ["recommend", "--memory", "100MiB", "--json", *there]).output)
    assert found["recommended"] == "LinearProbe()" and len(found["configurations"]) == 1
    for wrong, said in ((["--study", "mina"], "did you mean 'mine'"), (["--scale", "full"], "no tested run"),
                        (["--memory", "much"], "no size"), (["--latency", "soon"], "no time")):  # fmt: skip
        with pytest.raises(BadInput, match=said):
            CliRunner().invoke(app, ["recommend", *wrong, *there], catch_exceptions=False)


def test_a_busy_minute_makes_no_method_slow():
    quiet, busy = made((LORA,)), made((FULL,), inference={"latency": {"base": 0.1, "unmerged": 0.1}})
    found = of([*quiet, *busy]).latencies
    assert found["LoRA r=8"] == pytest.approx(0.01) and found["full fine-tuning"] == pytest.approx(0.01)
