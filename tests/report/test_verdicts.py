"""What the records say: differences, tables over tasks, claims; and what is said where they do not suffice."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import bench
from bench.cli import app
from bench.errors import BadInput
from bench.records import Records
from bench.report import claims, rules
from bench.report.claims import Contrast, Evidence, Pick
from bench.report.compare import compared
from bench.report.data import differences, flags, tradeoffs
from bench.report.data.groups import Group, groups, scored
from bench.report.figures import heatmaps, placements, profiles
from bench.report.page import summary
from bench.report.page.answer import answer
from bench.report.rules import at_least, beats, within
from bench.report.tables import dataframes
from bench.stats import mean_difference, mean_interval, stratified_interval
from tests.support.report_records import FULL, LORAS, PROBE, RIVALS, failed, keep, other_task, record

ROOT = Path(__file__).parents[2]
LORA_8, BITFIT = LORAS[3], RIVALS[0]


def made(*changes: dict[str, Any], cases: Any = (PROBE, FULL, LORA_8, BITFIT), seeds: Any = (0, 1, 2)) -> list[Group]:
    return groups([record(case, seed, **change) for change in changes or ({},) for case in cases for seed in seeds])


def test_differences_are_paired_by_seed_and_corrected() -> None:
    (group,) = made()
    base = differences.full(group)
    assert base is not None
    assert base.name == "FullFineTuning"
    found = {one.configuration.name: one for one in differences.against(group, base)}
    assert set(found) == {"LinearProbe", "LoRA", "BitFit"}
    values = dict(zip((run["seed"] for run in base.runs), base.score.values, strict=True))
    bitfit = found["BitFit"].configuration
    pairs = np.array([(own, values[r["seed"]]) for r, own in zip(bitfit.runs, bitfit.score.values, strict=True)])
    difference = found["BitFit"].difference
    assert difference is not None
    assert difference.interval == mean_interval((pairs[:, 0] - pairs[:, 1]).tolist())
    assert all(
        one.corrected is not None and one.corrected >= one.difference.p for one in found.values() if one.difference
    )


def test_less_is_better_where_the_metric_is_a_loss() -> None:
    loss = {"spec": "T()", "name": "t", "family": "images", "metric": "loss"}
    runs = [
        record(case, seed, task=loss, metrics={"test": {"loss": value + 0.01 * seed}})
        for case, value in ((PROBE, 0.9), (FULL, 0.5)) for seed in (0, 1)
    ]  # fmt: skip
    (group,) = groups(runs)
    assert differences.best(group).name == "FullFineTuning"
    one = differences.difference(group.of("LinearProbe")[0], group.of("FullFineTuning")[0])
    assert one is not None
    assert one.mean == pytest.approx(-0.4)


def test_only_what_all_tasks_have_is_averaged_and_devices_never() -> None:
    here, there = other_task("a"), other_task("b")
    elsewhere = {**other_task("b"), "environment": {"device_name": "H100", "threads": 2}}
    parts = made(here, there, elsewhere)
    assert len(parts) == 3
    assert [group.task for group in differences.comparable(parts)] == ["a", "b"]
    assert "H100" in differences.left_out(parts)
    found = differences.blocks([*parts, *made(other_task("c"), cases=(PROBE, FULL, LORA_8))])
    assert found is not None
    assert found.scores.shape == (3, 3, 3)
    assert profiles.has_profiles(parts)
    assert differences.blocks(made(seeds=(0,))) is None


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        (made(seeds=(0,)), "one seed"),
        (made(cases=[LORA_8]), "one configuration alone"),
        (made(cases=[LORA_8, BITFIT]), "no full fine-tuning"),
        (made({}, {"protocol": 1}), "several protocols (1, 2)"),
        (made({}, {"environment": {"device_name": "H100", "threads": 2}}), "several devices (EPYC, H100)"),
        (groups([failed(PROBE, 0)]), "No final run has a score"),
    ],
    ids=["one seed", "one method", "no full", "protocols", "devices", "failures"],
)
def test_what_does_not_suffice_is_said(parts: list[Group], said: str) -> None:
    records = [r for group in parts for r in group.records]
    assert said in " ".join(flags.of_study(records, parts))
    shown = scored(parts)
    assert len(answer(shown)) == len(differences.by_protocol(shown))
    assert len(dataframes.results(shown)) == sum(len(group.configurations) for group in shown)
    dataframes.comparisons(shown)


def test_runs_that_shared_the_processor_are_flagged() -> None:
    one = {"device_name": "EPYC", "threads": 1}
    runs = [record(PROBE, seed, environment=one, time={"total": 10.0, "cpu": 10.0 - 4 * seed}) for seed in (0, 1)]
    assert any("1 of 2 runs had the processor" in text for text in flags.of_study(runs, groups(runs)))


def test_a_placement_table_is_by_budget_where_ranks_differ_and_by_rank_where_they_do_not() -> None:
    equal = [
        ("LoRA", {"rank": r, "at": at}, 300_000 + r, 0.8, 9.0) for r, at in ((9, ["q", "k", "v", "o"]), (36, ["q"]))
    ]
    (group,) = made(cases=equal)
    table = placements._table(group)
    assert table is not None
    assert (table.budgets, table.rows, table.columns) == (True, ("q", "attention"), ("300k",))
    ranks = [
        ("LoRA", {"rank": r, "at": at}, 9_000 * r * len(at), 0.8, 9.0) for r in (1, 64) for at in (["q"], ["q", "v"])
    ]
    (group,) = made(cases=ranks)
    table = placements._table(group)
    assert table is not None
    assert (table.budgets, table.rows, table.columns) == (False, ("q", "q+v"), ("1", "64"))
    assert placements.has_placements([group])
    assert not placements.has_placements(made())


def test_a_front_leaves_out_what_is_beaten() -> None:
    (group,) = made()
    names = [c.name for c in tradeoffs.front(group, tradeoffs.COSTS[0])]
    assert names[:2] == ["LinearProbe", "BitFit"]  # nothing is cheaper than no backbone parameter


@pytest.mark.parametrize(
    ("rule", "confirmed", "refuted", "neither"),
    [
        (beats, (0.001, 0.02), (-0.02, -0.001), (-0.01, 0.02)),
        (at_least(0.01), (-0.009, -0.001), (-0.02, -0.011), (-0.02, 0.02)),
        (within(0.01), (-0.009, 0.009), (0.011, 0.02), (-0.02, 0.02)),
    ],
    ids=["beats", "at least", "within"],
)
def test_rules_decide_on_intervals(rule: Any, confirmed: Any, refuted: Any, neither: Any) -> None:
    assert [rule(ends) for ends in (confirmed, refuted, neither)] == ["CONFIRMED", "REFUTED", "INCONCLUSIVE"]


def test_no_better_by_more_than_a_point_is_an_answer() -> None:
    assert beats((-0.01, 0.009)) == "NO BETTER"
    assert rules.together(["CONFIRMED", "NO BETTER"]) == "NO BETTER"
    assert rules.together(["INCONCLUSIVE", "NO BETTER"]) == "INCONCLUSIVE"
    assert rules.together([]) == "INCONCLUSIVE"


def test_a_contrast_averages_tasks_and_says_where_records_lack(tmp_path: Path) -> None:
    for name in ("a", "b"):
        keep(tmp_path / "s" / "laptop", [LORA_8, FULL], **other_task(name))
    contrast = Contrast("s", Pick("LoRA", {"rank": 8}), Pick("FullFineTuning"))
    interval, said, each, *_ = contrast.found(Evidence(tmp_path, "laptop"))
    assert interval is not None
    assert "over 2 tasks" in said
    assert len(each) == 2
    assert Contrast("s", Pick("LoRA"), Pick("BitFit")).found(Evidence(tmp_path, "laptop"))[0] is None
    assert "no records" in Contrast("none", Pick("LoRA"), Pick("BitFit")).found(Evidence(tmp_path, "laptop"))[1]


def test_the_claims_are_answered_from_the_committed_records_and_without_any(tmp_path: Path) -> None:
    declared = claims.load(ROOT / "studies" / "claims.py")
    assert len({claim.name for claim in declared}) == len(declared) >= 20
    answers = claims.judged(declared, Evidence(ROOT / "results", "laptop"))
    assert {finding.verdict for _, finding in answers} <= set(rules.VERDICTS)
    assert next(f for claim, f in answers if claim.name == "memory").verdict == "CONFIRMED"
    nothing = claims.judged(declared, Evidence(tmp_path, "laptop"))
    assert {finding.verdict for _, finding in nothing} == {"INCONCLUSIVE"}
    assert all("no records" in finding.ours for _, finding in nothing)


@pytest.mark.parametrize("tasks", [1, 2, 3, 6])
def test_the_interval_over_tasks_holds_their_mean_as_often_as_it_says(tasks: int) -> None:
    rng = np.random.default_rng(3)
    scale = 0.01 * (1 + np.arange(tasks))[:, None]
    inside = 0
    for _ in range(2_000):
        low, high = stratified_interval(list(rng.normal(size=(tasks, 3)) * scale + 0.5)) or (0.0, 0.0)
        inside += low <= 0.5 <= high
    assert 0.93 <= inside / 2_000 <= 0.97
    assert stratified_interval([[1.0, 2.0, 4.0]]) == pytest.approx(mean_interval([1.0, 2.0, 4.0]))
    assert stratified_interval([[1.0, 2.0], [1.0]]) is None


def test_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    keep(tmp_path / "rank-sweep" / "laptop", [PROBE, FULL, BITFIT])
    where = ["--results", str(tmp_path)]
    said = CliRunner().invoke(app, ["compare", "BitFit", "FullFineTuning", *where])
    assert "Backbone parameters: 51,456 against 21,589,632 (0.0024 times)" in said.stdout
    assert "Difference: " in said.stdout
    assert "permutation p" in said.stdout
    with pytest.raises(BadInput, match=r"no task has records of both .*recorded are, for example, "):
        CliRunner().invoke(app, ["compare", "BitFit", "LoRA", *where], catch_exceptions=False)
    with pytest.raises(BadInput, match="did you mean 'rank-sweep'"):
        CliRunner().invoke(app, ["compare", "BitFit", "LoRA", "--study", "rank-swep", *where], catch_exceptions=False)
    rows = json.loads(CliRunner().invoke(app, ["claims", "--json", *where]).stdout)
    assert {
        "verdict",
        "ours",
        "theirs",
        "source",
        "rule",
        "statement",
        "name",
        "effect",
        "assumed",
        "counter",
        "runs",
    } == set(rows[0])


def test_records_as_a_frame(tmp_path: Path) -> None:
    keep(tmp_path / "rank-sweep" / "laptop", [PROBE, FULL])
    frame = bench.load("rank_sweep", results=tmp_path)
    assert list(frame["metric"].unique()) == ["top1"]
    assert len(Records(tmp_path / "rank-sweep" / "laptop").all()) == frame["run_id"].nunique()
    with pytest.raises(BadInput, match="did you mean 'rank-sweep'"):
        bench.load("rank-sweeep", results=tmp_path)
    with pytest.raises(BadInput, match="no records at scale 'full'"):
        bench.load("rank-sweep", scale="full", results=tmp_path)


def test_a_mean_without_the_seed_that_diverged_is_never_the_best() -> None:
    """On the two easier seeds it may well be higher."""
    runs = [record(FULL, seed) for seed in (0, 1, 2)] + [record(PROBE, seed) for seed in (0, 1, 2)]
    high = {"val": {"top1": 0.99}, "test": {"top1": 0.99}}
    runs += [record(BITFIT, seed, metrics=high) for seed in (0, 1)] + [record(LORA_8, seed) for seed in (0, 1, 2)]
    (group,) = groups(runs)
    assert differences.best(group).name != "BitFit"
    assert any(
        "fewer seeds than the others (3)" in text and "BitFit (2)" in text for text in flags.of_study(runs, [group])
    )
    found = differences.blocks([group])
    assert found is not None
    assert found.scores.shape == (3, 3, 1)
    assert "BitFit" in found.left


def test_seeds_that_agree_to_the_last_sample_prove_nothing() -> None:
    difference = mean_difference([0.001, 0.001, 0.001], np.random.default_rng(0))
    assert not difference.seen
    assert not mean_difference([0.7 - 0.863, 0.5 - 0.663], np.random.default_rng(0)).seen, "equal but for rounding"
    assert claims._ruled(beats, (0.001, 0.001 + 1e-16)) == "INCONCLUSIVE"


def scored_pairs(one: Sequence[float], other: Sequence[float], samples: int = 16) -> list[Group]:
    """BitFit and full fine-tuning with these accuracies, a seed each, on a test part of so many samples."""
    about = {"ended": "2025", "test_samples": samples}
    return groups([
        record(case, seed, metrics={"val": {"top1": top1}, "test": {"top1": top1}}, provenance=about)
        for case, scores in ((BITFIT, one), (FULL, other)) for seed, top1 in enumerate(scores)
    ])  # fmt: skip


FEW = [
    pytest.param((0.7, 0.5), (0.863, 0.663), "undecided: 2 seeds, 16 test samples", id="equal on every seed"),
    pytest.param((0.7, 0.5), (0.7, 0.5), "undecided: 2 seeds, 16 test samples", id="no difference on any seed"),
    pytest.param((0.9, 0.5), (0.88, 0.45), "no significant difference", id="wide"),
    pytest.param((0.938, 0.5), (0.5, 0.292), "undecided: 2 seeds, 16 test samples", id="beyond what can be"),
    pytest.param((0.9,), (0.5,), "undecided: 1 seed, 16 test samples", id="one seed"),
    pytest.param((0.5, 0.51, 0.5), (0.8, 0.82, 0.8), "significantly worse", id="worse"),
]


@pytest.mark.parametrize(("one", "other", "said"), FEW)
def test_few_seeds_and_samples_are_undecided_never_no_difference(one: Any, other: Any, said: str) -> None:
    """One verdict on the page, in its answer, in tables, in the command and in the marks of figures."""
    (group,) = scored_pairs(one, other)
    base, bitfit = group.of("FullFineTuning")[0], group.of("BitFit")[0]
    (found,) = differences.against(group, base)
    assert found.said == said
    assert list(dataframes.comparisons([group])["verdict"]) == [said]
    words = [*compared(group, bitfit, base), *answer([group]), *summary.lead(group)]
    told = said.removesuffix("significantly worse")
    assert sum(told in line.lower() for line in words) >= 3
    for other_verdict in {"no significant difference", "undecided"} - {said.partition(":")[0]}:
        assert not any(other_verdict in line.lower() for line in words)
    drawn = [text.get_text() for text in heatmaps.difference_map([group]).figure.axes[0].texts]
    assert any(("(undecided)" in text) == ("undecided: 2" in said) for text in drawn)


def test_intervals_end_where_scores_do() -> None:
    (group,) = scored_pairs((0.938, 0.5), (0.5, 0.292))
    found = differences.difference(group.of("BitFit")[0], group.of("FullFineTuning")[0])
    assert found is not None
    assert found.interval == (-1.0, 1.0)
    assert group.of("BitFit")[0].score.interval == (0.0, 1.0)
    beyond = group.of("BitFit")[0].beyond(group.of("FullFineTuning")[0])
    assert beyond is not None
    assert beyond.interval == (-1.0, 1.0)
    loss = mean_difference([0.5, 3.0], np.random.default_rng(0))
    assert loss.interval == mean_interval([0.5, 3.0])
    assert loss.decided, "of a loss nothing is known of what can be"


def test_the_mean_over_tasks_decides_and_every_task_is_said(tmp_path: Path) -> None:
    for name, gain in (("a", 0.05), ("b", -0.05)):
        for case, more in ((LORA_8, gain), (FULL, 0.0)):
            for seed in (0, 1, 2):
                top1 = 0.8 + more + 0.0001 * seed * (more > 0)
                scores = {"val": {"top1": top1}, "test": {"top1": top1}}
                Records(tmp_path / "s" / "laptop").write(record(case, seed, metrics=scores, **other_task(name)))
    contrast = Contrast("s", Pick("LoRA"), Pick("FullFineTuning"))
    assert within(0.01)(contrast.found(Evidence(tmp_path, "laptop")).interval) == "CONFIRMED"  # type: ignore[arg-type]
    found = claims.differences(within(0.01), contrast)(Evidence(tmp_path, "laptop"))
    assert found.verdict == "CONFIRMED"  # a veto of single tasks made this undecidable at any number of seeds
    assert "+5.0" in found.ours
    assert "-5.0" in found.ours
    assert len(found.runs) == 12
    assert Evidence(tmp_path, "laptop").sharing(found.runs) == {"s": 12}


def test_blocks_of_both_kinds_stand_in_one_column(tmp_path: Path) -> None:
    for blocks in (-6, [0, 3]):
        keep(tmp_path / "s" / "laptop", [("LoRA", {"rank": 8, "at": ["q"], "blocks": blocks}, 9_000, 0.8, 9.0)])
    frame = bench.load("s", results=tmp_path)
    frame.to_parquet(tmp_path / "table.parquet")
    assert set(frame["method.blocks"]) == {"-6", "[0, 3]"}
