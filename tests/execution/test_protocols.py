"""A study over a folder with records of an older protocol: none spares a run; they go when all is measured again."""

from __future__ import annotations

import hashlib

import pytest

from bench.execution.runner import Watcher
from bench.methods import LinearProbe, LoRA
from bench.records import PROTOCOL
from tests.support.tiny_study import execute, made_up, tuned

pytestmark = pytest.mark.usefixtures("own_cache")


def aged(records) -> int:
    """Makes every record one of protocol 1, with another id. Returns how many."""
    every = records.all()
    for record in every:
        (records.runs / f"{record['run_id']}.json").unlink()
        name = hashlib.sha256(record["run_id"].encode()).hexdigest()[:16]
        records.write(record | {"protocol": 1, "run_id": name})
    return len(every)


def test_old_records_spare_nothing_and_stay_until_all_is_measured_again(records, monkeypatch):
    made_up(monkeypatch, lambda run, epoch: 0.5)
    study, halfway = tuned(LinearProbe(), LoRA(rank=2)), []
    _, first = execute(records, study)
    old = aged(records)
    watcher = Watcher(cell=lambda cell, _: halfway.append([r["protocol"] for r in records.all()].count(1)))
    finals, again = execute(records, study, watcher=watcher)
    assert len(again) == len(first) and {record["protocol"] for record in finals} == {PROTOCOL}
    assert halfway == [old, old], "all that is known of the other methods"
    assert {record["protocol"] for record in records.all()} == {PROTOCOL}
    assert len(list(records.retired.glob("*.json"))) == old
    assert execute(records, study)[1] == []


def test_where_a_final_run_fails_the_old_records_stay(records, monkeypatch):
    study = tuned(LoRA(rank=2))
    made_up(monkeypatch, lambda run, epoch: 0.5)
    execute(records, study)
    old = aged(records)
    made_up(monkeypatch, lambda run, epoch: 0.5 if not run.test else 1 / 0)
    finals, _ = execute(records, study)
    assert {record["status"] for record in finals} == {"failed"}
    assert [record["protocol"] for record in records.all()].count(1) == old
