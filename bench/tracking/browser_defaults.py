"""MLflow's page as the reader of a study wants it at first sight.

MLflow's page asks the browser what it showed last, and without an answer opens on agents, an assistant and none of the
columns that matter. This puts an answer there where the browser has none; what somebody chooses later stays. MLflow's
server takes it as the app `NAME`, by the entry point "mlflow.app" of this package.
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, MutableMapping
from importlib.metadata import entry_points
from typing import Any

from bench.tracking import columns

NAME = "lora-bench"
EXPERIMENTS = "LORA_BENCH_EXPERIMENTS"
"""The environment's variable with MLflow's numbers of the experiments that are studies, with commas between them."""
_CONDITIONS = (b"if-none-match", b"if-modified-since", b"accept-encoding")
_STALE = (b"content-length", b"etag", b"last-modified", b"content-encoding")
Message = MutableMapping[str, Any]


def registered() -> bool:
    """Whether MLflow's server knows the app: not where this package runs without being installed."""
    return NAME in {point.name for point in entry_points(group="mlflow.app")}


def defaults(experiments: list[str]) -> dict[str, str]:
    """What the browser is to remember where it remembers nothing: keys and values of MLflow 3's page."""
    lists = {
        f'MLflowLocalStorage-1.1-ExperimentPage-["{one}"]-ReactComponentState': columns.state() for one in experiments
    }
    modes = {"mlflow.workflowType_v1": "machine_learning", "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": True}
    return {key: json.dumps(value) for key, value in (modes | lists).items()}


def script() -> bytes:
    """The lines that put them there, before MLflow's own."""
    known = json.dumps(defaults([one for one in os.environ.get(EXPERIMENTS, "").split(",") if one.isdigit()]))
    put = "try{if(localStorage.getItem(key)===null)localStorage.setItem(key,value)}catch(refused){}"
    return f"<script>for(const [key,value] of Object.entries({known})){{{put}}}</script>".encode()


class Front:
    """An ASGI application: MLflow's, with `script` in its page.

    Args:
        inner: MLflow's own; imported when the first request comes without.
    """

    def __init__(self, inner: Callable[..., Awaitable[None]] | None = None) -> None:
        self.inner = inner

    async def __call__(self, scope: Message, receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        """Answers a request as MLflow does; the page has some lines more."""
        if self.inner is None:
            from mlflow.server.fastapi_app import app as mlflow_app

            self.inner = mlflow_app
        if scope["type"] != "http" or scope["path"] != "/" or scope["method"] != "GET":
            await self.inner(scope, receive, send)
            return
        headers = [(key, value) for key, value in scope["headers"] if key.lower() not in _CONDITIONS]
        start: Message = {}
        body = b""

        async def take(message: Message) -> None:
            nonlocal body, start
            if message["type"] == "http.response.start":
                start = message
                return
            body += message.get("body", b"")
            if not message.get("more_body"):
                whole = body.replace(b"<head>", b"<head>" + script(), 1)
                kept = [(key, value) for key, value in start["headers"] if key.lower() not in _STALE]
                await send({**start, "headers": [*kept, (b"content-length", str(len(whole)).encode())]})
                await send({"type": "http.response.body", "body": whole})

        await self.inner({**scope, "headers": headers}, receive, take)


app = Front()
