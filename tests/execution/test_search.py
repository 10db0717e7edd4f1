"""Searches on real Optuna, most with made-up training: budgets, choices, pruning, and going on after anything."""

from __future__ import annotations

import json
import logging
import math
import sqlite3
from collections import Counter

import optuna
import pytest
import torch

from bench.errors import BadInput
from bench.execution.optuna_storage import Mirror
from bench.execution.runner import Watcher
from bench.execution.samplers import spent
from bench.execution.search import Search, storage
from bench.methods import IA3, FullFineTuning, Houlsby, LinearProbe, LoRA
from bench.records import JOURNAL, Records
from bench.space import Choice, Range
from bench.study.plan import plan
from bench.study.recording import identity
from bench.study.trials import of_cells
from tests.support.tiny_study import execute, made_up, trained, trials_of, tuned

pytestmark = pytest.mark.usefixtures("own_cache")

DEFAULT = 1e-3  # of LoRA's learning rate


def hill(best):
    """Accuracy with its top at a learning rate, a little more with every epoch."""
    return lambda run, epoch: 0.8 - 0.2 * abs(math.log10(run.training.lr / best)) + 0.01 * epoch


def states(records, url=None):
    """By search, how many of Optuna's trials ended in each state."""
    there = storage(url, records.folder)
    studies = there.get_all_studies()
    return {s.study_name: Counter(t.state.name for t in there.get_all_trials(s._study_id)) for s in studies}


def interrupted(records, study, at, **options):
    """Runs until a trial has trained for an epoch, and stops there as Ctrl-C does. Returns what was done before."""
    done = []

    def epoch(run, epoch):
        if run.trial.endswith(f"#{at}") and run.seed == study.tune.seeds[-1]:
            raise KeyboardInterrupt

    watcher = Watcher(epoch=epoch)
    with pytest.raises(KeyboardInterrupt):
        execute(records, study, watcher=watcher, done=done, **options)
    return done


def test_every_method_has_the_same_budget_and_starts_at_its_default(records, monkeypatch):
    made_up(monkeypatch, lambda run, epoch: 0.5 + 0.1 * math.sin(1e5 * run.training.lr))
    study = tuned(FullFineTuning(), LinearProbe(), LoRA(), Houlsby(), IA3(), trials=3)  # of each kind one
    finals, _ = execute(records, study)
    assert set(Counter(r["trial"]["search"] for r in records.all() if r["phase"] == "tune").values()) == {3}
    assert set(map(str, states(records).values())) == {"Counter({'COMPLETE': 3})"}
    for cell, trials in of_cells(study, "cpu").items():
        assert trials_of(records, trials.name)[0] == study.tune.default(cell.task, cell.method, study.training)
    for final in finals:
        tuning = final["tuning"]
        found = {
            r["trial"]["number"]: r["metrics"]["val"]["top1"]
            for r in records.all()
            if r["phase"] == "tune" and r["trial"]["search"] == tuning["search"]
        }
        chosen = tuning["chosen"]
        assert found[chosen["number"]] == max(found.values())
        assert final["training"]["lr"] == chosen["params"]["lr"]
        assert [trial["score"] for trial in tuning["trials"]] == [found[number] for number in range(3)]


def test_the_mean_over_tuning_seeds_is_chosen(records, monkeypatch):
    """Each seed alone is best at one end of the grid, both together in its middle."""
    made_up(monkeypatch, lambda run, epoch: hill(1e-4 if run.seed == 1000 else 1e-2)(run, epoch) ** 0.5)
    finals, _ = execute(records, tuned(sampler="grid", over=("lr",), seeds=(1000, 1001), trials=3))
    runs = [r for r in records.all() if r["phase"] == "tune"]
    assert len(runs) == 6
    for trial in finals[0]["tuning"]["trials"]:
        scores = [r["metrics"]["val"]["top1"] for r in runs if r["trial"]["number"] == trial["number"]]
        assert trial["score"] == pytest.approx(sum(scores) / 2) and len(scores) == 2
    assert finals[0]["training"]["lr"] == 1e-3


def test_what_is_pruned_diverges_or_runs_out_of_memory_counts_and_is_no_failure(records, monkeypatch):
    """A grid from low to high rates: three good ones, a hopeless one, and two that end badly."""

    def score(run, epoch):
        if run.training.lr > 5e-3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        if run.training.lr > 3e-3:
            return None
        return (0.1 if run.training.lr > 1e-3 else 0.8 - run.training.lr) + 0.01 * epoch

    made_up(monkeypatch, score)
    study = tuned(sampler="grid", pruner="median", over=("lr",), trials=6, epochs=4)
    finals, done = execute(records, study)
    assert len(done) == 6 + 2 + 2 and {r["status"] for r in finals} == {"ok"}
    trials = finals[0]["tuning"]["trials"]
    assert [t["status"] for t in trials] == ["ok", "ok", "ok", "pruned", "diverged", "out_of_memory"]
    assert [t["epochs"] for t in trials] == [4, 4, 4, 2, 0, 0]
    assert [t["score"] for t in trials] == [
        *(pytest.approx(score, abs=1e-3) for score in (0.84, 0.84, 0.84, 0.12)),
        *(None, None),
    ]
    pruned = next(r for r in records.all() if r["status"] == "pruned")
    assert pruned["reason"] == "after epoch 2 of 4: below the median of earlier trials"
    assert len(pruned["curve"]) == 2 and pruned["metrics"]["val"] == pruned["curve"][1]["val"]
    assert finals[0]["tuning"]["chosen"]["number"] == 0
    assert states(records).popitem()[1]["COMPLETE"] == 3
    again, done = execute(records, study)
    assert done == [] and json.dumps(again) == json.dumps(finals)


def test_a_trial_below_the_median_of_earlier_ones_should_end(records):
    trials = next(iter(of_cells(tuned(pruner="median", epochs=3), "cpu").values()))
    search = Search(trials, Mirror(storage(None, records.folder)))
    for number, curve in enumerate([[0.5, 0.6, 0.7]] * 3 + [[0.5, 0.4, 0.4]]):
        trial = search.take()
        said = [search.report(trial, 1000, e, [{"top1": score} for score in curve[:e]]) for e in (1, 2, 3)]
        assert [bool(word) for word in said] == [False, number == 3, False], "the first epochs and the last are let off"
        metrics = {"val": {"top1": curve[-1], "loss": 1.0}}
        rows = [{"val": {"top1": score}} for score in curve]
        search.ended(trial, {"seed": 1000, "status": "ok", "metrics": metrics, "curve": rows})
    assert search.done


def test_after_a_failed_trial_only_what_failed_and_what_waits_for_it_is_done(records, tmp_path, monkeypatch):
    """What comes after would be asked of fewer trials than it will have known: it waits, and is the same at last."""
    top = hill(DEFAULT)
    made_up(monkeypatch, top)
    whole, study = Records(tmp_path / "whole"), tuned(over=("lr",))
    wanted, _ = execute(whole, study)
    made_up(monkeypatch, lambda run, epoch: 1 / 0 if run.trial.endswith("#1") else top(run, epoch))
    spared = []
    failed, done = execute(records, study, watcher=Watcher(spared=spared.append))
    assert [r["status"] for r in failed] == ["failed"] * 2 and "budget would be smaller" in failed[0]["reason"]
    assert [r["status"] for r in records.all() if r["phase"] == "tune"].count("ok") == 1
    assert len(spared) == 2 + 2, "trials that wait, and default runs that the final ones stand for"
    made_up(monkeypatch, top)
    finals, done = execute(records, study)
    assert [run.trial.rpartition("#")[2] for run in done] == ["1", "2", "3", "", ""]
    assert [r["tuning"] for r in finals] == [r["tuning"] for r in wanted]
    assert trials_of(records) == trials_of(whole)
    assert states(records).popitem()[1]["COMPLETE"] == 4


def test_after_a_failed_trial_of_a_grid_only_what_failed_is_done_again(records, monkeypatch):
    top = hill(DEFAULT)
    made_up(monkeypatch, lambda run, epoch: 1 / 0 if run.trial.endswith("#1") else top(run, epoch))
    study = tuned(over=("lr",), sampler="grid")
    failed, done = execute(records, study)
    assert [r["status"] for r in failed] == ["failed"] * 2
    assert [r["status"] for r in records.all() if r["phase"] == "tune"].count("ok") == 3
    before = trials_of(records)
    made_up(monkeypatch, top)
    _, done = execute(records, study)
    assert [run.trial.rpartition("#")[2] for run in done if run.trial] == ["1"]
    assert trials_of(records) == before and len(before) == 4


def test_default_runs_show_the_gain_of_tuning(records, monkeypatch):
    made_up(monkeypatch, hill(1e-2))
    study = tuned(LoRA(rank=1), LoRA(rank=2), share={"rank": 2}, sampler="grid", over=("lr",))
    execute(records, study)
    made = Counter((r["method"]["config"]["rank"], r["phase"]) for r in trained(records))
    assert made == {(2, "tune"): 4, (1, "final"): 2, (2, "final"): 2, (2, "default"): 2}, "none for what it shares"
    untuned = [r for r in records.all() if r["phase"] == "default"]
    assert {r["seed"] for r in untuned} == set(study.seeds) and all("test" in r["metrics"] for r in untuned)
    assert {r["training"]["lr"] for r in untuned} == {DEFAULT}
    assert untuned[0]["tuning"]["chosen"]["params"] == {"lr": 1e-2} and untuned[0]["tuning"]["edge"] == ["lr"]


def test_where_the_default_is_the_best_its_runs_are_the_final_ones(records, monkeypatch):
    made_up(monkeypatch, hill(DEFAULT))
    finals, _ = execute(records, tuned(over=("lr",)))
    assert Counter(r["phase"] for r in trained(records)) == {"tune": 4, "final": 2}
    assert finals[0]["training"]["lr"] == DEFAULT and finals[0]["tuning"]["chosen"]["number"] == 0


SEARCHES = [
    {"sampler": "tpe"},
    {"sampler": "random"},
    {"sampler": "qmc"},
    {"sampler": "grid", "trials": 9, "over": ("lr", "weight_decay")},
    {"sampler": "cmaes", "over": ("lr", "weight_decay")},
    {"sampler": "tpe", "spaces": {"LoRA": {"rank_stabilised": Choice(False, True)}}},
]


@pytest.mark.parametrize(
    "tune", [*SEARCHES, {"pruner": "median"}, {"pruner": "hyperband"}, {"pruner": "halving"}], ids=str
)
def test_every_sampler_and_pruner_ends_within_the_space(records, monkeypatch, tune):
    made_up(monkeypatch, hill(2e-3))
    study = tuned(epochs=3, **{"trials": 8} | tune)
    finals, _ = execute(records, study)
    trials = next(iter(of_cells(study, "cpu").values()))
    found = trials_of(records)
    assert list(found) == list(range(study.tune.trials)) and [r["status"] for r in finals] == ["ok"] * 2
    assert all(values[key] in trials.space[key] for values in found.values() for key in trials.space)
    assert len({str(values) for values in found.values()}) == len(found), "no values twice"
    if study.tune.sampler == "grid":
        assert list(found.values()) == study.tune.grid(trials.cell.task, trials.method)


@pytest.mark.parametrize("lost", [False, True], ids=["storage there", "storage lost"])
@pytest.mark.parametrize(
    "tune",
    [
        *SEARCHES,
        {"pruner": "median", "seeds": (1000, 1001)},
        {"pruner": "hyperband", "batch": 3},
        {"pruner": "halving", "seeds": (1000, 1001)},
    ],
    ids=str,
)
def test_interrupted_it_goes_on_with_the_same_values(records, tmp_path, monkeypatch, tune, lost):
    made_up(monkeypatch, hill(2e-3))
    study, whole = tuned(epochs=3, **{"trials": 8} | tune), Records(tmp_path / "whole")
    finals, wanted = execute(whole, study)
    done = []
    for at in (2, 6) if len(study.tune.seeds) == 1 else (1, 2):  # later ones may be pruned before their second seed
        done += interrupted(records, study, at)
        if lost:
            (records.folder / JOURNAL).unlink()
    again, rest = execute(records, study)
    (name,) = states(whole)
    assert +(states(records)[name] - Counter(FAIL=99)) == states(whole)[name]
    assert trials_of(records) == trials_of(whole)
    assert [r["tuning"] for r in again] == [r["tuning"] for r in finals]
    assert Counter(map(identity, done + rest)) == Counter(map(identity, wanted)), "nothing twice, nothing else"


def test_halving_lets_the_best_third_go_on_by_the_seconds_they_took(records, monkeypatch):
    made_up(monkeypatch, hill(2e-3))
    study = tuned(epochs=9, trials=9, sampler="random", pruner="halving", over=("lr",))
    execute(records, study)
    lasted = {r["trial"]["number"]: len(r["curve"]) for r in records.all() if r["phase"] == "tune"}
    rates = trials_of(records)
    assert lasted[0] == 9 and set(lasted.values()) <= {1, 3, 9}, "rungs at a ninth and a third of the first trial"
    assert sum(epochs == 1 for epochs in lasted.values()) >= 4
    best = min(rates, key=lambda k: abs(math.log10(rates[k]["lr"] / 2e-3)))
    assert lasted[best] == 9
    (trials,) = of_cells(study, "cpu").values()
    trials.recall(records.all())
    assert spent(trials, trials.found[0]) == {k: float(k) for k in range(1, 10)}, "without seconds an epoch is one"
    trials.found[0].records[1000]["curve"] = [{"seconds": 0.5}, {"seconds": 2.0}]
    assert spent(trials, trials.found[0]) == {1: 0.5, 2: 2.0}


def test_the_plan_counts_what_is_left(records, monkeypatch):
    made_up(monkeypatch, hill(1e-2))
    study = tuned(over=("lr",), sampler="grid", seeds=(1000, 1001))
    left = lambda: [(row.trials, row.finals, row.done) for row in plan(study, records, timed=False)]  # noqa: E731
    assert left() == [(8, 4, 0)]
    interrupted(records, study, at=1)
    assert left() == [(5, 4, 3)], "the second trial has one of its two seeds"
    execute(records, study)
    assert left() == [(0, 0, 12)]


NARROW = {"spaces": {"LoRA": {"alpha": Range(8.0, 32.0)}}}


@pytest.mark.parametrize("changed", [{"over": ("weight_decay",)}, {"trials": 3}, NARROW], ids=str)
def test_another_space_or_budget_is_another_search_and_says_so(records, monkeypatch, changed):
    made_up(monkeypatch, hill(1e-2))
    said = []
    watcher = Watcher(said=said.append)
    execute(records, tuned(sampler="random"), watcher=watcher)
    old = {r["run_id"] for r in records.all()}
    assert said == []
    execute(records, tuned(**{"sampler": "random"} | changed), watcher=watcher)
    (line,) = said
    assert line.startswith("LoRA(rank=2, at=('q', 'v')) on digits: its 4 trials are of another space, budget")
    kept, retired = {r["run_id"] for r in records.all()}, {path.stem for path in records.retired.glob("*.json")}
    assert old <= kept | retired and not kept & retired
    assert not any(r["phase"] == "tune" for r in records.all() if r["run_id"] in old)
    assert len(trials_of(records)) == changed.get("trials", 4)


@pytest.mark.parametrize("sampler", ["random", "qmc", "grid"])
def test_trials_that_depend_on_no_other_are_the_same_at_once(records, tmp_path, monkeypatch, sampler):
    made_up(monkeypatch, hill(1e-2))
    study = tuned(sampler=sampler, trials=4, over=("lr", "weight_decay"))
    execute(records, study)
    search = Search(next(iter(of_cells(study, "cpu").values())))
    assert search.at_once == 4
    assert {t.number: t.params for t in (search.take() for _ in range(4))} == trials_of(records)
    assert search.take() is None


@pytest.mark.parametrize("tail", ['{"op_code":4,"worker', '{"op_code":4,"worker\n', "\x00" * 512])
def test_a_torn_journal_is_mended_or_made_again(records, monkeypatch, tail):
    """A kill leaves half a line, a machine that goes down a row of zeros."""
    made_up(monkeypatch, hill(1e-2))
    done = interrupted(records, tuned(), at=2)
    journal = records.folder / JOURNAL
    journal.write_text(journal.read_text() + tail)
    _, rest = execute(records, tuned())
    assert len(done) == 2 and list(trials_of(records)) == [0, 1, 2, 3]
    assert not {*map(identity, done)} & {*map(identity, rest)}
    assert states(records).popitem()[1]["COMPLETE"] == 4


def test_a_journal_that_is_none_is_set_aside_and_made_again(records, monkeypatch, caplog):
    made_up(monkeypatch, hill(1e-2))
    finals, _ = execute(records, tuned())
    journal = records.folder / JOURNAL
    journal.write_text("no journal\n" * 3)
    with caplog.at_level(logging.WARNING):
        again, done = execute(records, tuned())
    assert "made again from the records" in caplog.text and list(records.folder.glob(f"{JOURNAL}.corrupt*"))
    assert done == [] and json.dumps(again) == json.dumps(finals) and states(records).popitem()[1]["COMPLETE"] == 4


def test_sqlite(records, tmp_path, monkeypatch):
    made_up(monkeypatch, hill(1e-2))
    url = f"sqlite:///{tmp_path}/trials.db"
    interrupted(records, tuned(), at=2, storage=url)
    execute(records, tuned(), storage=url)
    assert states(records, url).popitem()[1]["COMPLETE"] == 4
    assert not (records.folder / JOURNAL).exists()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("sqlite:////nonexistent/folder/trials.db", "unable to open database file"),
        ("postgresql://me:secret@127.0.0.1:9/trials", "cannot be used"),
        ("postgresql://127.0.0.1:9/trials?password=secret&user=me", "storage postgresql://127.0.0.1:9/trials cannot"),
        ("nodriver://me:sec%72et@127.0.0.1/trials?sslpassword=secret", "storage nodriver://127.0.0.1/trials cannot"),
        ("mysqll://here/trials", "mysqll"),
        ("trials.db", "trials.db"),
    ],
)
def test_a_storage_that_cannot_be_used(tmp_path, url, told):
    with pytest.raises(BadInput, match=told) as error:
        storage(url, tmp_path)
    said = str(error.value)
    assert said.startswith("storage ") and "secret" not in said and len(said.splitlines()) == 1 and len(said) < 300


@pytest.mark.parametrize("revision", ["v3.0.0.d", "v99.0.0.a"])
def test_a_storage_of_another_version(tmp_path, revision):
    url = f"sqlite:///{tmp_path}/trials.db"
    optuna.create_study(storage=url)
    with sqlite3.connect(tmp_path / "trials.db") as database:
        database.execute("UPDATE alembic_version SET version_num = ?", (revision,))
    with pytest.raises(BadInput, match="is of another version of Optuna: upgrade it") as error:
        storage(url, tmp_path)
    assert len(str(error.value).splitlines()) == 1
    with sqlite3.connect(tmp_path / "trials.db") as database:
        assert database.execute("SELECT version_num FROM alembic_version").fetchall() == [(revision,)], "left as it was"


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / JOURNAL).mkdir()
    with pytest.raises(BadInput, match=f"cannot use .*{JOURNAL}"):
        storage(None, tmp_path)


def test_what_is_chosen_on_a_loss_is_the_lowest(records, monkeypatch):
    made_up(monkeypatch, hill(1e-2))
    finals, _ = execute(records, tuned(on="val/loss"))
    scores = [trial["score"] for trial in finals[0]["tuning"]["trials"]]
    assert finals[0]["tuning"]["on"] == "val/loss" and len(set(scores)) > 1
    assert finals[0]["tuning"]["chosen"]["number"] == scores.index(min(scores))


def test_a_tie_goes_to_the_earlier_trial_in_every_call(records, monkeypatch):
    """Records are read in the order of their names, which is another than that of the trials."""
    made_up(monkeypatch, lambda run, epoch: 0.5)
    finals, _ = execute(records, tuned(trials=8))
    assert finals[0]["tuning"]["chosen"]["number"] == 0
    again, done = execute(records, tuned(trials=8))
    assert done == [] and [r["tuning"] for r in again] == [r["tuning"] for r in finals]


def test_a_trial_whose_record_is_lost_is_done_again(records, monkeypatch):
    made_up(monkeypatch, hill(2e-3))
    study = tuned(trials=8)
    execute(records, study)
    before = trials_of(records)
    lost = next(r for r in records.all() if (r.get("trial") or {}).get("number") == 5)
    (records.runs / f"{lost['run_id']}.json").write_text("{")
    _, done = execute(records, study)
    assert [run.trial.rpartition("#")[2] for run in done if run.trial] == ["5"]
    after = trials_of(records)
    assert list(after) == list(range(8)) and all(after[n] == before[n] for n in before if n != 5)
    assert states(records).popitem()[1]["COMPLETE"] == 8


@pytest.mark.parametrize(
    ("best", "rates"), [(1e-4, [1e-3, 3.162e-3, 3.162e-4, 1e-4]), (1e-2, [1e-3, 3.162e-3, 3.162e-4, 1e-2])]
)
def test_bracketing_goes_on_beyond_the_best_and_after_an_interruption(records, monkeypatch, best, rates):
    made_up(monkeypatch, hill(best))
    study = tuned(sampler="bracket", pruner="none", trials=4, over=("lr",), seeds=(1000, 1001))
    done = interrupted(records, study, at=2)
    (final, *_), again = execute(records, study)
    tried = {trial["number"]: trial["params"]["lr"] for trial in final["tuning"]["trials"]}
    assert [tried[k] for k in range(4)] == pytest.approx(rates, rel=1e-3)
    assert (
        final["tuning"]["chosen"]["params"]["lr"] == pytest.approx(best, rel=1e-3)
        and final["tuning"]["sampler"] == "bracket"
    )
    assert not {repr(run) for run in done} & {repr(run) for run in again}, "what is recorded is not run again"
