"""What MLflow's page is told to show at first sight: MLflow's own page, a few lines longer."""

from __future__ import annotations

import asyncio
import json
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from bench.tracking import browser_defaults, columns, server

PAGE = b'<!doctype html><html lang="en"><head><meta charset="utf-8"/></head><body></body></html>'


def answered(path: str = "/", method: str = "GET", **headers: str) -> tuple[dict[bytes, bytes], bytes, Any]:
    """Headers and body of an answer, and the request as MLflow got it."""
    got, sent = [], []

    async def mlflow(scope: Any, receive: Any, send: Any) -> None:
        got.append(scope)
        about = [(b"content-type", b"text/html"), (b"content-length", str(len(PAGE)).encode()), (b"etag", b"old")]
        await send({"type": "http.response.start", "status": 200, "headers": about})
        await send({"type": "http.response.body", "body": PAGE[:20], "more_body": True})
        await send({"type": "http.response.body", "body": PAGE[20:]})

    async def send(message: Any) -> None:
        sent.append(message)

    listed = [(key.replace("_", "-").encode(), value.encode()) for key, value in headers.items()]
    scope = {"type": "http", "path": path, "method": method, "headers": listed}
    asyncio.run(browser_defaults.Front(mlflow)(scope, None, send))
    return dict(sent[0]["headers"]), b"".join(message.get("body", b"") for message in sent[1:]), got[0]


def test_the_page_has_its_lines_first_and_the_right_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(browser_defaults.EXPERIMENTS, "3,</script>,7")
    headers, body, request = answered(if_none_match="old", accept_encoding="gzip", host="127.0.0.1:5000")
    assert body == PAGE.replace(b"<head>", b"<head>" + browser_defaults.script())
    assert headers == {b"content-type": b"text/html", b"content-length": str(len(body)).encode()}
    assert dict(request["headers"]) == {b"host": b"127.0.0.1:5000"}, "a page from the browser's memory lacks the lines"
    assert body.count(b"</script>") == 1


@pytest.mark.parametrize(("path", "method"), [("/static-files/main.js", "GET"), ("/", "POST"), ("/api", "GET")])
def test_all_else_is_mlflows_own(path: str, method: str) -> None:
    headers, body, request = answered(path, method, if_none_match="old")
    assert (body, headers[b"etag"]) == (PAGE, b"old")
    assert dict(request["headers"]) == {b"if-none-match": b"old"}


def test_what_the_browser_is_told() -> None:
    told = browser_defaults.defaults(["3"])
    assert told["mlflow.workflowType_v1"] == '"machine_learning"'
    assert told["mlflow.assistant.fab.autoOpenedOnFirstLoad_v1"] == "true"
    (key,) = [key for key in told if "ExperimentPage" in key]
    assert key == 'MLflowLocalStorage-1.1-ExperimentPage-["3"]-ReactComponentState'
    assert json.loads(told[key]) == columns.state()


def test_the_server_takes_the_app_where_the_package_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    module, _, name = project["entry-points"]["mlflow.app"][browser_defaults.NAME].partition(":")
    app = getattr(import_module(module), name)
    assert isinstance(app, browser_defaults.Front), "a function would be taken for a factory of applications"
    for installed in (True, False):
        monkeypatch.setattr(browser_defaults, "registered", lambda: installed)  # noqa: B023
        assert ("--app-name" in server.command("sqlite:///mlflow.db", "127.0.0.1", 5000)) == installed
