"""The command line as a user meets it: real processes, real exit codes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

import pytest
import typer

from tests.support.quick_bench import COMMAND as QUICK

ROOT = Path(__file__).parents[2]
TINY = "Timm('test_vit', image_size=32)"


def bench(*args, cwd=ROOT, **env):
    """Runs the command line. Returns the finished process."""
    command = [sys.executable, "-m", "bench", *map(str, args)]
    return subprocess.run(command, cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True)


@pytest.fixture
def here(capsys, monkeypatch):
    """Calls the command line in this process, which has paid for importing torch already."""
    from bench.cli import main

    def call(*args):
        monkeypatch.chdir(ROOT)
        monkeypatch.setattr(sys, "argv", ["bench", *map(str, args)])
        monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
        with pytest.raises(SystemExit) as ended:
            main()
        shown = capsys.readouterr()
        return subprocess.CompletedProcess(args, ended.value.code or 0, shown.out, shown.err)

    return call


def commands(group, *before):
    """Every command of the command line, as one types it."""
    for name, command in group.commands.items():
        yield (*before, name)
        if hasattr(command, "commands"):
            yield from commands(command, *before, name)


def test_help_of_every_command_has_an_example_and_no_house_words(here):
    from bench.cli import app

    known = list(commands(typer.main.get_command(app)))
    assert len(known) >= 18 and ("mlflow", "ui") in known and ("studies",) in known
    for command in known:
        shown = here(*command, "--help")
        assert shown.returncode == 0 and re.search("Examples?: ", shown.stdout), command
        assert not re.search("foret|rival|told apart|hands|ledger|desk|shelf", shown.stdout.lower()), command


def test_help_shows_its_placeholders():
    """Markdown leaves out what looks like a tag of HTML: "results/<study>/" would be shown as "results//"."""
    from bench.cli import app

    def groups(group):
        for command in group.commands.values():
            yield command
            yield from groups(command) if hasattr(command, "commands") else ()

    for command in groups(typer.main.get_command(app)):
        for said in (command.help, *(getattr(each, "help", "") for each in command.params)):
            bare = re.sub("`[^`]*`", "", said or "")
            assert not re.search("<[a-z]", bare), (command.name, said)


def test_help_imports_neither_torch_nor_scipy():
    code = (
        "import sys; sys.argv = ['bench', '--help']\nfrom bench.cli import main\n"
        "try: main()\nexcept SystemExit: pass\nprint({'torch', 'scipy'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "set()"


@pytest.mark.parametrize(
    ("own", "then"), [({}, "1000"), ({"GOMP_SPINCOUNT": "5"}, "5"), ({"OMP_WAIT_POLICY": "ACTIVE"}, None)]
)
def test_waiting_threads_do_not_spin_for_long_unless_asked_to(own, then, here, monkeypatch):
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.setenv(name, own.get(name, ""))
        if name not in own:
            monkeypatch.delenv(name)
    here("--version")
    assert os.environ.get("GOMP_SPINCOUNT") == then


def test_count_prints_json(here):
    done = here("count", "LoRA(rank=8, at=('q','v'))", "--model", "vit_base_patch16_224", "--json")
    assert json.loads(done.stdout) == {"backbone": 294912, "head": 1538, "total": 296450}


def test_memory_prints_json_in_bytes(here):
    options = ("--model", TINY, "--batch", "4")
    one = json.loads(here("memory", "LoRA(rank=2)", *options, "--json").stdout)
    assert one["peak"] == sum(one["breakdown"].values()) == one["phases"][one["phase"]]
    assert set(one["breakdown"]) == {"weights", "gradients", "optimizer", "activations", "scratch", "other"}
    assert (one["batch"], one["device"], one["kind"]) == (4, "cuda", "foretold")
    own = one["cuda"]
    assert one["peak"] + own["workspaces"] + own["fragmentation"] + own["context"] == one["nvidia_smi"]
    both = json.loads(here("memory", "LoRA(rank=2)", "FullFineTuning", *options, "--json").stdout)
    assert [each["method"] for each in both] == ["LoRA(rank=2, at=('q', 'v'))", "FullFineTuning()"]
    assert both[0] == one and both[1]["breakdown"]["optimizer"] > one["breakdown"]["optimizer"]


@pytest.mark.long
def test_memory_prints_a_table_of_what_fits(here):
    options = ("--model", TINY, "--fit", "6MiB", "--device", "cpu")
    shown = here("memory", "LoRA(rank=2)", "LinearProbe", *options).stdout
    assert "largest batch" in shown and "LinearProbe()" in shown and "the largest batch that fits 6MiB" in shown


def test_memory_is_explained_and_drawn(here, tmp_path):
    options = ("--model", TINY, "--batch", "4", "--figure", tmp_path)
    shown = here("memory", "LoRA(rank=2)", *options).stdout
    assert re.search(r"blocks\.\*\.mlp\.fc1 +matrix product", shown) and "scratch" not in shown.splitlines()[0]
    assert (tmp_path / "figures/activations.png").is_file()
    assert json.loads((tmp_path / "activations.json").read_text())["runs"][0]["peak"] > 1e6


def test_lists(here):
    assert "LoRA(rank=8, at=('q', 'v'))" in here("methods").stdout
    assert "Images('cifar100')" in here("tasks").stdout
    assert "vit_small_patch14_dinov2" in here("models").stdout
    assert "vit_base_patch16_224" in here("models", "vit_base").stdout.splitlines()
    assert "dinov2-s14" in here("assets").stdout


def test_check_of_a_method(here):
    from bench.training.method_checks import CHECKS

    done = here("check", "LoRA(rank=2)", "--model", TINY)
    assert done.returncode == 0 and "FAILED" not in done.stdout and done.stdout.count("ok") == len(CHECKS)


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("run", "rank-swep", "--scale", "smoke"), "did you mean 'rank-sweep'"),
        (("run", "rank-sweep", "--scale", "smok"), "did you mean 'smoke'"),
        (("plan", "rank-sweep", "--scale", "smoke", "--device", "gpu9"), "device 'gpu9'"),
        (("count", "Lora(rank=8)"), "did you mean 'LoRA'"),
        (("count", "LoRA(rank=0)"), "needs rank ≥ 1"),
        (("count", "LoRA(rank=800)"), "smaller side is 768"),
        (("count", "LoRA(at=('w',))"), "unknown role 'w'"),
        (("count", "LoRA(at='conv')"), "no site matches"),
        (("count", "BitFit", "--model", "vit_bse_patch16_224"), "did you mean 'vit_base_patch16_224'"),
        (("count", "BitFit", "--task", "elvp"), "did you mean 'elpv'"),
        (("memory", "LoRA", "--batch", "0"), "batch_size 0"),
        (("memory", "LoRA", "--device", "gpu"), "torch does not know it"),
        (("memory", "LoRA", "--fit", "lots"), "write 16GiB"),
        (
            ("memory", "--fit", "501MiB", "--model", TINY, "--base", "bf16", "--checkpointing"),
            "the least is LinearProbe()",
        ),
        (("memory", "LoRA", "--optimizer", "adam"), "did you mean 'adamw'"),
        (("assets", "pull", "elvp"), "did you mean 'elpv'"),
        (("figures", "--results", "/nonexistent"), "no records under"),
        (("run", "rank-sweep", "--scale", "smoke", "--results", "/proc/here"), "/proc/here"),
        (("run", "rank-sweep", "--scale", "smoke", "--jobs", "0"), "--jobs 0: at least one run"),
        (("plan", "rank-sweep", "--scale", "smoke", "--jobs", "-1"), "--jobs -1: at least one run"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(args, told, here):
    done = here(*args)
    assert done.returncode == 2, done.stderr
    assert told in done.stderr and len(done.stderr.strip().splitlines()) == 1 and "Traceback" not in done.stderr


def test_a_mistake_in_a_real_process():
    done = bench("run", "rank-swep")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "bench: unknown study 'rank-swep': did you mean 'rank-sweep'?\n"


MINE = '''"""Is it all there?"""
from bench.methods import LinearProbe, LoRA
from bench.models import HuggingFace
from bench.study import Study, tuning
from bench.tasks import Text
from bench.training import Training

def study(scale):
    """Text, the family that has most baselines."""
    return Study(
        name="mine",
        question="Is it all there?",
        tasks=(Text("unicode-names", train=100, val=50, test=100),),
        models=(HuggingFace("test-bert", weights="random"),),
        methods=(LinearProbe(), LoRA(rank=1), LoRA(rank=8)),
        training=Training(epochs=2),
        tune=tuning(scale, share={"rank": 8}),
    )
'''


@pytest.mark.slow
def test_smoke_study_end_to_end(tmp_path, here, monkeypatch, caplog, one_thread):
    """Records, table, figures and MLflow of a study of one's own; an unknown MLflow server does not stop it.

    `make smoke`, a part of CI, runs all families of the rank sweep, in a process of its own.
    """
    (tmp_path / "mine.py").write_text(MINE)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    done = here("run", "mine", "--studies", tmp_path, "--scale", "smoke", "--results", tmp_path / "results")
    assert done.returncode == 0, done.stderr
    assert "bench mlflow sync" in caplog.text
    folder = tmp_path / "results" / "mine" / "smoke"
    records = [json.loads(path.read_text()) for path in (folder / "runs").glob("*.json")]
    phases = Counter(record["phase"] for record in records)
    assert {record["status"] for record in records if record["phase"] != "tune"} == {"ok"}
    assert {record["status"] for record in records} <= {"ok", "pruned"}
    tuned = {r["tuning"]["search"]: r["tuning"] for r in records if r["phase"] == "final"}.values()
    assert {tuning["budget"] for tuning in tuned} == {len(tuning["trials"]) for tuning in tuned} == {3}
    better = [tuning for tuning in tuned if tuning["chosen"]["params"] != tuning["default"]]
    baselines = Counter(record["method"]["name"] for record in records if record["phase"] == "reference")
    assert baselines == {"TfidfLogistic": 2 * 2, "MajorityClass": 2}
    assert phases == {"tune": 3 * 2, "final": 2 * 3, "reference": 6, "default": 2 * len(better)}
    assert list((folder / "figures").glob("*.png"))
    table = (folder / "table.csv").read_bytes()
    assert here("figures", "--results", tmp_path / "results").returncode == 0
    assert (folder / "table.csv").read_bytes() == table
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    synced = here("mlflow", "sync", "--results", tmp_path / "results")
    assert synced.returncode == 0 and f"{len(records)} runs logged" in synced.stdout, synced.stderr


@pytest.mark.slow
@pytest.mark.long
def test_ctrl_c_ends_with_a_word_and_a_page(tmp_path):
    command = [*QUICK, "run", "learning-rate", "--scale", "smoke", "--family", "images"]
    runs = tmp_path / "learning-rate" / "smoke" / "runs"
    running = subprocess.Popen(
        [*command, "--no-mlflow", "--results", str(tmp_path)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background job, such as CI may be, has its children ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    for _ in range(9000):
        if len(list(runs.glob("*.json"))) >= 5:
            break
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=120)
    assert running.returncode == 130, said
    assert (
        said.strip().splitlines()[-1]
        == "bench: interrupted; what is recorded stays, the same command goes on from there"
    )
    assert (runs.parent / "README.md").exists()
