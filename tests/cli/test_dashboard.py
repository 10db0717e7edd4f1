"""`bench dashboard`: what it opens and what it refuses; the page itself where optuna-dashboard is installed."""

from __future__ import annotations

import importlib.util
import json
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from bench.cli import dashboard
from bench.errors import BadInput
from bench.records import JOURNAL

INSTALLED = importlib.util.find_spec("optuna_dashboard") is not None
PROGRAM = "import typer; from bench.cli.dashboard import dashboard; typer.run(dashboard)"


def tuned(results: Path, study: str = "rank-sweep", scale: str = "laptop") -> Path:
    """A journal with one search of two trials."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    path = results / study / scale / JOURNAL
    path.parent.mkdir(parents=True)
    storage = JournalStorage(JournalFileBackend(str(path)))
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    search = optuna.create_study(study_name="elpv LoRA(rank=8)", storage=storage, direction="maximize")
    search.optimize(lambda trial: trial.suggest_float("lr", 1e-4, 1e-2, log=True), n_trials=2)
    return path


@pytest.fixture
def package() -> None:
    """optuna-dashboard is an extra; the tests' own requirements have it."""
    pytest.importorskip("optuna_dashboard")


def test_a_study_is_found_by_its_name_or_by_being_the_only_one(tmp_path: Path) -> None:
    first = tuned(tmp_path)
    assert dashboard.journal("rank_sweep", "laptop", tmp_path) == dashboard.journal(None, "laptop", tmp_path) == first
    second = tuned(tmp_path, "learning-rate")
    assert dashboard.journal("learning-rate", "laptop", tmp_path) == second
    with pytest.raises(BadInput, match="name one of learning-rate, rank-sweep"):
        dashboard.journal(None, "laptop", tmp_path)


def test_what_was_not_tuned_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"tune first, with bench run rank-sweep --scale laptop --results /"):
        dashboard.journal(None, "laptop", tmp_path)
    with pytest.raises(BadInput, match=r"tune first, with bench run learning-rate --scale full"):
        dashboard.journal("learning_rate", "full", tmp_path)
    tuned(tmp_path)
    with pytest.raises(BadInput, match="unknown study with trials of scale laptop 'rank-swep': did you mean 'rank-sw"):
        dashboard.journal("rank-swep", "laptop", tmp_path)


def test_without_the_package_it_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna_dashboard", None)
    with pytest.raises(BadInput, match=r"not installed: pip install 'lora-bench\[dashboard\]'$"):
        dashboard.application(str(tuned(tmp_path)))


@pytest.mark.usefixtures("package")
def test_a_storage_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    for url, told in (
        (f"sqlite:///{tmp_path}/none.db", r"no file .*none\.db: name what bench run --storage was given"),
        (str(tmp_path / "none.journal"), r"no file .*none\.journal"),
        (f"sqlite:///{tmp_path}/empty.db", "cannot be read: .*no such table"),
        ("nodriver://me:secret@127.0.0.1:9/trials", r"trials in nodriver://127\.0\.0\.1:9/trials cannot be"),
        ("nodriver://127.0.0.1:9/trials?password=secret", r"trials in nodriver://127\.0\.0\.1:9/trials cannot be"),
    ):
        with pytest.raises(BadInput, match=told) as error:
            dashboard.application(url)
        assert "\n" not in str(error.value) and "secret" not in str(error.value) and len(str(error.value)) < 260
    assert not (tmp_path / "none.db").exists()


@pytest.mark.usefixtures("package")
def test_what_tuning_wrote_is_opened(tmp_path: Path) -> None:
    import optuna

    assert callable(dashboard.application(str(tuned(tmp_path))))
    url = f"sqlite:///{tmp_path}/trials.db"
    optuna.create_study(study_name="elpv", storage=url)
    assert callable(dashboard.application(url))


def asked(method: str = "GET", **headers: str) -> str:
    """The status with which the guarded application answers a request."""
    said: list[str] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b"all studies"]

    environ = {"REQUEST_METHOD": method, **{f"HTTP_{name.upper()}": value for name, value in headers.items()}}
    body = b"".join(dashboard.guarded(application)(environ, lambda status, _: said.append(status)))
    assert (body == b"all studies") == (said == ["200 OK"])
    return said[0][:3]


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_only_this_machine_is_answered(method: str) -> None:
    for host in ("localhost", "127.0.0.1", "127.0.0.1:8080", "localhost:9000", "[::1]:8080", "LocalHost:8080"):
        assert asked(method, host=host) == "200"
    strange = [
        *("evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example:8080", "192.168.1.7"),
        *("::1", "127.0.0.1@evil.example", "evil.example#127.0.0.1", "127.0.0.1:8080:1", "localhost:", "0.0.0.0:8080"),
    ]
    for host in (*strange, "", "localhost, evil.example", "localhost:8080\n"):
        assert asked(method, host=host) == "403", host
    assert asked(method) == "403", "no Host at all"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "delete", "PURGE"])
def test_what_changes_something_must_come_from_the_dashboards_own_page(method: str) -> None:
    here = {"host": "127.0.0.1:8080"}
    assert asked(method, **here) == "200", "no browser"
    assert asked(method, **here, origin="http://127.0.0.1:8080", sec_fetch_site="same-origin") == "200"
    foreign = ("http://evil.example", "null", "http://127.0.0.1:9999", "https://127.0.0.1:8080", "http://localhost:8080",
               "http://127.0.0.1:8080.evil.example", "")  # fmt: skip
    for origin in foreign:
        assert asked(method, **here, origin=origin) == "403", origin
    for site in ("cross-site", "same-site", "?"):
        assert asked(method, **here, sec_fetch_site=site) == "403", site


def test_a_link_from_elsewhere_opens_the_page() -> None:
    assert asked("GET", host="127.0.0.1:8080", sec_fetch_site="cross-site", origin="http://evil.example") == "200"


def test_the_command_needs_no_torch() -> None:
    program = "import sys, optuna, bench.cli.dashboard; assert not {'torch', 'mlflow'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.skipif(not INSTALLED, reason="needs optuna-dashboard: pip install 'lora-bench[dashboard]'")
def test_the_page_is_served_until_ctrl_c(tmp_path: Path) -> None:
    tuned(tmp_path)
    command = [sys.executable, "-c", PROGRAM, "rank-sweep", "--results", str(tmp_path), "--port", "8480"]
    page: Any = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background job, such as CI may be, has its children ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    watchdog = threading.Timer(60, page.kill)
    watchdog.start()
    try:
        site = page.stdout.readline().split(" runs at ")[1].split()[0]
        with urllib.request.urlopen(f"{site}/api/studies", timeout=20) as reply:
            (search,) = json.load(reply)["study_summaries"]
        assert search["study_name"] == "elpv LoRA(rank=8)"
        rebound = urllib.request.Request(f"{site}/api/studies/0", method="DELETE", headers={"Host": "evil.example"})
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(rebound, timeout=20)
        with urllib.request.urlopen(f"{site}/dashboard/", timeout=20) as reply:
            assert b"<html" in reply.read().lower()
        page.send_signal(signal.SIGINT)
        said, wrong = page.communicate(timeout=20)
    finally:
        watchdog.cancel()
        page.kill()
    assert (page.returncode, said.strip(), wrong) == (
        0,
        "Optuna's dashboard has ended; the same command opens it again",
        "",
    )
