"""Optuna's storage, which may fail at any time: the study goes on, says so once, and the storage is filled later."""

from __future__ import annotations

import sqlite3
from collections import Counter

import optuna
import pytest

import bench.execution.optuna_storage
from bench.execution.optuna_storage import Mirror
from bench.execution.runner import Watcher
from bench.execution.search import storage
from tests.support.tiny_study import execute, made_up, tuned

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def url(tmp_path, monkeypatch):
    """A database whose lock is waited for as little as can be."""
    monkeypatch.setattr(bench.execution.optuna_storage, "PATIENCE", 0.5)
    monkeypatch.setattr(bench.execution.optuna_storage.time, "sleep", lambda seconds: None)
    return f"sqlite:///{tmp_path}/trials.db?timeout=0.05"


def ended(url, folder):
    there = storage(url, folder)
    return [Counter(t.state.name for t in there.get_all_trials(s._study_id)) for s in there.get_all_studies()]


def test_a_database_that_is_locked_midway_ends_nothing(records, tmp_path, monkeypatch, url):
    held, said = [], []

    def score(run, epoch):
        if run.trial.endswith("#1") and not held:
            held.append(sqlite3.connect(tmp_path / "trials.db"))
            held[0].execute("BEGIN EXCLUSIVE")
        return 0.5

    made_up(monkeypatch, score)
    study = tuned(trials=3)
    finals, done = execute(records, study, storage=url, watcher=Watcher(said=said.append))
    assert {r["status"] for r in finals} == {"ok"} and len(done) == 3 + 2
    (line,) = said
    assert line.startswith("Optuna's storage failed for 0.5 s (") and "database is locked" in line
    assert "nothing is lost" in line and len(line.splitlines()) == 1
    held[0].rollback()
    held[0].close()
    _, again = execute(records, study, storage=url)
    assert again == [] and ended(url, records.folder) == [Counter(COMPLETE=3)]


def test_a_server_that_starts_anew_is_waited_for(records, monkeypatch, url):
    said, fails = [], iter([True] * 2)
    made_up(monkeypatch, lambda run, epoch: 0.5)
    real = optuna.storages._cached_storage._CachedStorage.set_trial_state_values

    def sometimes(self, *args, **options):
        if next(fails, False):
            raise optuna.exceptions.StorageInternalError("server closed the connection unexpectedly\nat once")
        return real(self, *args, **options)

    monkeypatch.setattr(optuna.storages._cached_storage._CachedStorage, "set_trial_state_values", sometimes)
    execute(records, tuned(), storage=url, watcher=Watcher(said=said.append))
    assert said == [] and ended(url, records.folder) == [Counter(COMPLETE=4)]


def test_an_answer_that_was_lost_is_no_failure(records):
    """A trial that has ended is not ended a second time."""
    there, said = storage(None, records.folder), []
    trial = there.create_new_trial(there.create_new_study([optuna.study.StudyDirection.MAXIMIZE]))
    mirror = Mirror(there, said=said.append)
    for _ in range(2):
        mirror._try(lambda: there.set_trial_state_values(trial, optuna.trial.TrialState.COMPLETE, [1.0]))
    assert not mirror.gone and said == []


def test_a_journal_whose_disk_is_full_ends_nothing(records, monkeypatch, url):
    said = []
    made_up(monkeypatch, lambda run, epoch: 0.5)
    backend = optuna.storages.journal.JournalFileBackend

    def full(self, logs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(backend, "append_logs", full)
    finals, _ = execute(records, tuned(), watcher=Watcher(said=said.append))
    assert {r["status"] for r in finals} == {"ok"} and len(said) == 1 and "No space left on device" in said[0]
