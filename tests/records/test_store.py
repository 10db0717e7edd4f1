"""Records: whole or not there, set aside by name when broken, and the same table for the same runs."""

from __future__ import annotations

import copy
import json
import logging
import math
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.errors import BadInput
from bench.records import Records, run_id
from bench.report.tables.tidy import tidy, write_table

SPEC: dict[str, Any] = {
    "task": "Images('elpv', train=400)",
    "method": {"rank": 8, "alpha": 16.0, "at": ["q", "v"], "blocks": None},
    "training": {"lr": 1e-3, "epochs": 6},
    "seed": 0,
}


def record(seed: int = 0, rank: int = 8, status: str = "ok", **changes: Any) -> dict[str, Any]:
    """A whole record of one run."""
    made: dict[str, Any] = {
        "protocol": 1, "run_id": run_id({"seed": seed, "rank": rank, "status": status}),
        "study": "rank-sweep", "scale": "laptop", "phase": "final",
        "task": {"spec": "Images('elpv')", "name": "elpv", "family": "images", "metric": "top1"},
        "model": {"spec": "Timm('vit')", "name": "vit", "parameters": 100},
        "method": {"spec": f"LoRA(rank={rank})", "name": "LoRA", "config": {"rank": rank, "at": ["q", "v"]}},
        "training": {"lr": 1e-3, "precision": "bf16"}, "seed": seed, "status": status, "reason": None,
        "metrics": {"val": {"top1": 0.84}, "test": {"top1": 0.8125, "loss": 0.5}} if status == "ok" else {},
        "parameters": {"backbone": 18432 * rank, "head": 770, "total": 18432 * rank + 770},
        "time": {"train": 12.125, "total": 14.5}, "best_epoch": 4,
        "environment": {"device": "cpu", "device_name": "EPYC", "threads": 2},
    }  # fmt: skip
    return {**made, **changes}


def test_run_id_ignores_the_order_of_keys() -> None:
    turned = {key: SPEC[key] for key in reversed(SPEC)}
    turned["method"] = {key: SPEC["method"][key] for key in reversed(SPEC["method"])}
    assert run_id(turned) == run_id(SPEC)
    assert len(run_id(SPEC)) == 16
    assert set(run_id(SPEC)) <= set("0123456789abcdef")


@pytest.mark.parametrize(
    "path, value",
    [
        (("task",), "Images('elpv', train=401)"), (("method", "rank"), 9), (("method", "alpha"), 16.000001),
        (("method", "at"), ["v", "q"]), (("method", "blocks"), 2), (("training", "lr"), 1e-4),
        (("training", "epochs"), 7), (("seed",), 1), (("protocol",), 1), (("new",), None),
    ],
)  # fmt: skip
def test_run_id_changes_with_every_value(path: tuple[str, ...], value: object) -> None:
    changed = copy.deepcopy(SPEC)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    assert run_id(changed) != run_id(SPEC)


def test_run_id_refuses_what_json_cannot_say() -> None:
    with pytest.raises(ValueError):
        run_id({"lr": math.nan})


def test_write_then_read(tmp_path: Path) -> None:
    records = Records(tmp_path / "rank-sweep" / "laptop")
    records.prepare()
    assert list(records.runs.iterdir()) == []
    whole = record()
    path = records.write(whole)
    assert path == records.runs / f"{whole['run_id']}.json"
    assert records.read(whole["run_id"]) == whole
    assert records.read("0" * 16) is None
    assert [p.name for p in records.runs.iterdir()] == [path.name]


def test_a_loss_that_is_not_finite_becomes_null(tmp_path: Path) -> None:
    records = Records(tmp_path)
    path = records.write(record(status="diverged", curve=[{"epoch": 1, "train_loss": math.nan}]))
    json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert records.all()[0]["curve"] == [{"epoch": 1, "train_loss": None}]


def test_a_record_that_breaks_the_schema_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="status"):
        Records(tmp_path).write(record(status="fine"))
    with pytest.raises(ValueError, match="metrics"):
        Records(tmp_path).write(record(metrics={}))
    assert not list(tmp_path.rglob("*.json"))


def test_a_reference_is_kept_like_any_run_and_an_unknown_phase_is_not(tmp_path: Path) -> None:
    bare = {"model": {"spec": "none", "name": "none"}, "training": {}, "parameters": {}, "time": {"total": 3.0}}
    method = {"spec": "Counts()", "name": "Counts", "config": {}, "label": "word counts"}
    baseline = record(phase="reference", method=method, **bare)
    Records(tmp_path).write(baseline)
    assert Records(tmp_path).all() == [baseline]
    table = tidy([baseline, record(seed=1)])
    (row,) = table[(table["phase"] == "reference") & (table["metric"] == "top1") & (table["split"] == "test")].values
    assert (
        dict(zip(table.columns, row, strict=True)).items()
        >= {"method": "Counts", "model": "none", "value": 0.8125}.items()
    )
    with pytest.raises(ValueError, match="unknown phase"):
        Records(tmp_path).write(record(phase="guess"))


def test_a_failed_replace_keeps_the_old_record_and_leaves_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = Records(tmp_path)
    old = record()
    path = records.write(old)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(BadInput, match="No space left"):
        records.write({**old, "reason": "new"})
    assert records.all() == [old]
    assert list(records.runs.iterdir()) == [path]


KILLED = """
import json, resource, signal, sys
from pathlib import Path
from bench.records import Records
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
Records(Path(sys.argv[1])).write(json.loads(sys.argv[2]) | {"reason": "x" * 200_000})
"""


def test_a_kill_in_mid_write_leaves_the_old_record(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    records = Records(tmp_path)
    old = record()
    records.write(old)
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    command = [sys.executable, "-c", KILLED, str(tmp_path), json.dumps(old)]
    child = subprocess.run(command, check=False, cwd=root, env=environment)
    assert child.returncode == -signal.SIGXFSZ  # the system killed it with half of the bytes written
    assert [path.stat().st_size for path in records.runs.glob(".*.tmp")] == [100_000]
    assert records.all() == [old]
    assert caplog.records == []


@pytest.mark.parametrize(
    "content",
    [b"", b'{"protocol": 1, "run_', b"\xff\xfe\x00", b"[1, 2]", b"{}", b"[" * 100_000],
    ids=["empty", "half", "binary", "list", "no fields", "deep"],
)
def test_a_corrupt_record_is_set_aside_with_its_name_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    records = Records(tmp_path)
    good = record(seed=1)
    records.write(good)
    for attempt in ("", ".1"):
        broken = records.write(record())
        broken.write_bytes(content)
        with caplog.at_level(logging.WARNING):
            assert records.all() == [good]
        assert not broken.exists()
        assert broken.with_name(f"{broken.name}.corrupt{attempt}").read_bytes() == content
        assert str(broken) in caplog.messages[-1]
        assert "\n" not in caplog.messages[-1]
    assert len(caplog.messages) == 2


def test_a_record_under_the_name_of_another_is_set_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    records = Records(tmp_path)
    path = records.write(record(seed=0))
    other = run_id({"another": "run"})
    path.rename(records.runs / f"{other}.json")
    assert records.read(other) is None
    assert other in caplog.messages[0]
    assert not list(records.runs.glob("*.json"))


def test_leftovers_of_a_killed_run_are_ignored(tmp_path: Path) -> None:
    records = Records(tmp_path)
    records.write(record())
    (records.runs / f".{'0' * 16}.json.1.abcd.tmp").write_text('{"half":')
    assert len(records.all()) == 1


def test_a_picture_is_kept_once_under_a_name_of_its_content(tmp_path: Path) -> None:
    records = Records(tmp_path / "study" / "laptop")
    name = records.keep_picture(b"a picture")
    assert name == "92b2fa5802895831.jpg"
    before = (records.pictures / name).stat().st_mtime_ns
    assert records.keep_picture(b"a picture") == name != records.keep_picture(b"another")
    assert (records.pictures / name).read_bytes() == b"a picture"
    assert (records.pictures / name).stat().st_mtime_ns == before
    assert len(list(records.pictures.iterdir())) == 2 and records.all() == []


def test_a_picture_that_cannot_be_kept_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "pictures").write_text("not a folder")
    with pytest.raises(BadInput, match="cannot write"):
        Records(tmp_path).keep_picture(b"a picture")


def test_no_folder_is_no_records(tmp_path: Path) -> None:
    assert Records(tmp_path / "nothing").all() == []


def test_an_unwritable_folder_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(BadInput, match="cannot write to the results folder") as caught:
        Records(tmp_path / "file" / "study").prepare()
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc, where not even root can make files")
def test_a_folder_that_exists_but_takes_no_file_is_refused() -> None:
    with pytest.raises(BadInput, match="choose a writable one"):
        Records(Path("/proc/self")).prepare()


def test_tidy_has_a_row_a_run_split_and_metric() -> None:
    table = tidy([record(seed=1), record(seed=0), record(seed=2, status="failed", reason="boom")])
    shown = table[["seed", "status", "split", "metric", "value"]].astype(object).where(lambda t: t.notna(), None)
    assert shown.values.tolist() == [
        [0, "ok", "test", "loss", 0.5], [0, "ok", "test", "top1", 0.8125], [0, "ok", "val", "top1", 0.84],
        [1, "ok", "test", "loss", 0.5], [1, "ok", "test", "top1", 0.8125], [1, "ok", "val", "top1", 0.84],
        [2, "failed", None, None, None],
    ]  # fmt: skip
    assert table["method.rank"].tolist() == [8] * 7
    assert table["method.at"].tolist() == ["q v"] * 7
    assert table["params_backbone"].tolist() == [147456] * 7


def test_table_is_the_same_bytes_whatever_the_order(tmp_path: Path) -> None:
    probe = record(seed=9, method={"spec": "LinearProbe()", "name": "LinearProbe", "config": {}})
    runs = [record(seed=s, rank=r) for s in (0, 1) for r in (1, 2, 16)] + [probe]
    first = write_table(tmp_path, tidy(runs)).read_bytes()
    second = write_table(tmp_path, tidy(reversed(runs))).read_bytes()
    assert first == second
    lines = first.decode().splitlines()
    about = "run_id,study,scale,phase,family,task,model,method,spec,method.at,method.rank,search,trial,seed,lr"
    assert lines[0].startswith(about)
    measured = "36864,,770,12.125,14.5,,,,,,,,,,4,test,loss,0.5"
    assert f",LoRA(rank=2),q v,2,,,0,0.001,ok,,EPYC,2,bf16,1,{measured}" in lines[7 + 3]
    assert [p.name for p in tmp_path.iterdir()] == ["table.csv"]


def test_table_of_nothing_has_a_heading(tmp_path: Path) -> None:
    assert write_table(tmp_path, tidy([])).read_text().startswith("run_id,study")


def test_records_need_no_torch() -> None:
    code = "import sys, bench.records; assert not {'torch', 'pandas', 'matplotlib'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
