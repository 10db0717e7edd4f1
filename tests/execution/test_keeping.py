"""Trained weights beside the records: which are kept, within how much of the disk, and again."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from bench.errors import BadInput
from bench.execution.keep_again import keep_again
from bench.execution.keeping import Keeping, rank
from bench.methods import FullFineTuning, LinearProbe, LoRA
from bench.records.weights import find, read
from bench.training.method_checks import CNN
from tests.support.tiny_study import execute, tuned

UNTUNED = {"trials": 0}
STUDY = tuned(LinearProbe(), LoRA(rank=2), **UNTUNED)


@pytest.fixture
def study(own_cache, one_thread):
    return STUDY


def files(records) -> list[str]:
    return sorted(path.stem for path in (records.folder / "weights").glob("*"))


def test_the_best_seed_by_validation_is_kept_of_each_configuration(study, records) -> None:
    finals, _ = execute(records, study, keeping=Keeping(records.folder))
    best = {
        max((r for r in finals if r["method"]["name"] == name), key=rank)["run_id"] for name in ("LinearProbe", "LoRA")
    }
    assert set(files(records)) == best
    for run_id in best:
        kept, record = read(records.folder / "weights" / f"{run_id}.safetensors"), records.read(run_id)
        assert kept.about["metrics"] == record["metrics"] and kept.about["method"] == record["method"]["spec"]
        assert kept.about["classes"] == [str(i) for i in range(10)]
        assert kept.about["preprocessing"] == {"size": 32, "mean": [0.5] * 3, "std": [0.5] * 3}
        numbers = sum(torch.Size(shape).numel() for shape in kept.tensors.values())
        assert numbers == record["parameters"]["total"], "adapter and head only"
        assert sum(record["checkpoint"].values()) == 4 * numbers
    assert "weights" not in finals[0]


def test_none_and_all(study, records) -> None:
    probe = replace(study, methods=(LinearProbe(),))
    execute(records, probe)
    assert not files(records)
    records.retire(record["run_id"] for record in records.all() if record["phase"] == "final")
    finals, _ = execute(records, probe, keeping=Keeping(records.folder, "all"))
    assert files(records) == sorted(record["run_id"] for record in finals)
    records.retire([finals[0]["run_id"]])
    assert files(records) == [finals[1]["run_id"]], "a retired record takes its weights along"
    with pytest.raises(BadInput, match="did you mean 'best'"):
        Keeping(records.folder, "bset")


def test_statistics_of_batch_norm_are_kept_where_training_moves_them(study, records) -> None:
    of_cnn = replace(study, models=(CNN,), methods=(FullFineTuning(), LoRA(rank=1, at=("conv",))), seeds=(0,))
    finals, _ = execute(records, of_cnn, keeping=Keeping(records.folder))
    moved = {r["method"]["name"]: read(records.folder / "weights" / f"{r['run_id']}.safetensors") for r in finals}
    assert any("running_var" in name for name in moved["FullFineTuning"].tensors)
    assert not any("running" in name for name in moved["LoRA"].tensors)


def test_a_budget_and_a_full_disk_cost_a_line_and_no_record(study, records, monkeypatch) -> None:
    said: list[str] = []
    probe = replace(study, methods=(LinearProbe(),))
    finals, _ = execute(records, probe, keeping=Keeping(records.folder, "all", 100, said.append))
    assert len(finals) == 2 and not files(records)
    assert len(said) == 1 and "--keep-limit" in said[0] and "bench keep" in said[0]
    records.retire(record["run_id"] for record in records.all() if record["phase"] == "final")
    real = os.replace

    def full(source, target) -> None:
        if str(target).endswith(".safetensors"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(source, target)

    monkeypatch.setattr(os, "replace", full)
    said.clear()
    finals, _ = execute(records, probe, keeping=Keeping(records.folder, "all", said=said.append))
    assert [r["status"] for r in finals] == ["ok"] * 2 and len(said) == 1 and "No space left" in said[0]
    assert files(records) == [], "nothing half-written stays"


def test_what_was_not_kept_is_trained_again_from_its_record(study, records) -> None:
    finals, _ = execute(records, replace(study, methods=(LoRA(rank=2),)))
    results, run = records.folder.parent.parent, finals[0]["run_id"]
    path, compared = keep_again(run[:6], results=results, device="cpu")
    assert path.stem == run and compared.endswith("as in its record")
    first = load_file(path)
    keep_again(str(records.runs / f"{run}.json"), results=results, device="cpu")
    assert all(torch.equal(first[name], tensor) for name, tensor in load_file(path).items())
    with pytest.raises(BadInput, match="no run '0123'"):
        keep_again("0123", results=results)
    other = records.read(run) | {"provenance": {"data_sha256": "0" * 64}}
    records.write(other)
    with pytest.raises(BadInput, match="have changed since"):
        keep_again(run, results=results)
    with pytest.raises(BadInput, match="give a run's id"):
        find(results, "../x")


def test_a_file_that_was_changed_cut_or_is_of_another_version_is_refused(study, records) -> None:
    execute(records, replace(study, methods=(LinearProbe(),), seeds=(0,)), keeping=Keeping(records.folder))
    (path,) = (records.folder / "weights").glob("*")
    whole = path.read_bytes()
    length = int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8 : 8 + length])

    def refused(content: bytes) -> str:
        path.write_bytes(content)
        with pytest.raises(BadInput) as told:
            read(path)
        assert "bench keep" in str(told.value) and "\n" not in str(told.value)
        return str(told.value)

    def headed(meta) -> bytes:
        text = json.dumps({**header, "__metadata__": meta}).encode()
        return len(text).to_bytes(8, "little") + text + whole[8 + length :]

    own = header["__metadata__"]
    assert "changed" in refused(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert "changed" in refused(whole[:-4])
    assert "changed" in refused(headed(own | {"method": '"LoRA(rank=9)"'}))
    assert "version 0.9" in refused(headed(own | {"format": '"0.9"'}))
    assert "not whole" in refused(b"\x80\x04pickle") and "not whole" in refused(whole[:50]) and refused(b"")
    assert "not what `bench run` writes" in refused(headed({}))
    path.write_bytes(whole)
    assert read(path).about["method"] == "LinearProbe()"
