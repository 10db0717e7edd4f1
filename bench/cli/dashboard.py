"""`bench dashboard`: optuna-dashboard, a package of its own, over the trials of a study."""

from __future__ import annotations

import contextlib
import re
import signal
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Annotated, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import typer

from bench.cli.services import RESULTS, Results
from bench.errors import BadInput, masked, unknown
from bench.records import JOURNAL, at_scale

HOST = "127.0.0.1"
_HERE = re.compile(r"(?:localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?", re.IGNORECASE)
"""What a browser on this machine calls the dashboard's server; the port may be another behind a tunnel."""


def dashboard(
    study: Annotated[
        str | None, typer.Argument(help="A study that was tuned, e.g. rank-sweep; if only one was, that one.")
    ] = None,
    scale: Annotated[str, typer.Option(help="smoke, laptop, overnight or full.")] = "laptop",
    results: Results = RESULTS,
    storage: Annotated[
        str | None,
        typer.Option(help="What `bench run --storage` was given; by default the journal file of the study."),
    ] = None,
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; if it is taken, one of the next is used.")] = 8080,
) -> None:
    """Open Optuna's dashboard on the trials of a study, also while it runs. Ctrl-C ends it.

    Examples: `bench dashboard rank-sweep`, `bench dashboard --storage postgresql://me@host/trials`
    """
    from bench.tracking.server import free_port

    trials = storage or str(journal(study, scale, results))
    serve(application(trials), free_port(HOST, port), trials)


def journal(study: str | None, scale: str, results: Path) -> Path:
    """The journal file of a study's trials.

    Raises:
        BadInput: there is none, or it must be said which one is meant.
    """
    there = {study: folder / JOURNAL for study, folder in at_scale(results, scale, what=JOURNAL).items()}
    wanted = study.replace("_", "-") if study else None
    if wanted is None and len(there) == 1:
        return there.popitem()[1]
    if wanted is None and there:
        raise BadInput(f"trials of several studies under {str(results)!r}: name one of {', '.join(there)}")
    if wanted in there:
        return there[wanted]
    if wanted is None or not there:
        run = f"bench run {wanted or 'rank-sweep'} --scale {scale}"
        kept = "" if results == RESULTS else f" --results {results}"
        raise BadInput(
            f"no {JOURNAL} of scale {scale} under {str(results)!r}: tune first, with {run}{kept}, or name its --storage"
        )
    raise unknown(f"study with trials of scale {scale}", wanted, there)


def application(storage: str) -> Callable[..., Iterable[bytes]]:
    """The dashboard's web application.

    Args:
        storage: a journal file or a URL.

    Raises:
        BadInput: optuna-dashboard is not installed, or the storage cannot be read.
    """
    try:
        from optuna_dashboard import wsgi
    except ImportError:
        raise BadInput("optuna-dashboard is not installed: pip install 'lora-bench[dashboard]'") from None
    from bench.tracking.client import brief, database

    file = database(storage) if "://" in storage else Path(storage)
    if file is not None and not file.is_file():  # SQLite would make an empty one
        raise BadInput(f"no file {masked(str(file))}: name what bench run --storage was given")
    try:
        opened = _open(storage)
        opened.get_all_studies()
    except Exception as error:  # of Optuna, SQLAlchemy, a missing driver: whatever the storage is
        raise BadInput(f"trials in {masked(storage)} cannot be read: {brief(_cause(error), storage)}") from None
    return guarded(wsgi(opened))


def guarded(application: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """The application for this machine's own browser alone: all others are answered 403, as MLflow's server does.

    A page anywhere on the web can have a browser here send requests to 127.0.0.1, under a name of its own that it lets
    point there ("DNS rebinding"), or from its own address; the dashboard deletes studies without asking who it is. So
    the Host must be this machine, and what is not merely read must come from the dashboard's own page or from no page.
    """

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        host = str(environ.get("HTTP_HOST", ""))
        if not _HERE.fullmatch(host):
            reason = "the Host header names another machine than this one"
        elif environ.get("REQUEST_METHOD") not in ("GET", "HEAD", "OPTIONS") and not _own(environ, host):
            reason = "the request comes from another page than the dashboard's"
        else:
            return application(environ, start_response)
        start_response("403 Forbidden", [("Content-Type", "text/plain")])
        return [f"refused: {reason}\n".encode()]

    return answer


def _own(environ: Mapping[str, Any], host: str) -> bool:
    """Whether a request comes from a page under the same host and port, or from no page, as those of curl."""
    origin, site = environ.get("HTTP_ORIGIN"), environ.get("HTTP_SEC_FETCH_SITE", "none")
    return origin in (None, f"http://{host}") and site in ("same-origin", "none")


def _open(storage: str) -> Any:
    """Optuna's storage, as it is: nothing is made that is not there."""
    from optuna.storages import JournalStorage, RDBStorage, get_storage
    from optuna.storages.journal import JournalFileBackend

    if "://" not in storage:
        return JournalStorage(JournalFileBackend(storage))
    if storage.startswith("redis"):
        return get_storage(storage)
    return RDBStorage(storage, skip_compatibility_check=True, skip_table_creation=True)


def _cause(error: BaseException) -> Exception:
    """What Optuna wraps in words of its own."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error if isinstance(error, Exception) else Exception(error)


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True  # a page that is open does not hold up the end


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Not a line for every request."""


def serve(application: Callable[..., Iterable[bytes]], port: int, storage: str) -> None:
    """Serves the dashboard until Ctrl-C."""
    with contextlib.suppress(ValueError):  # only the main thread may, and only there Ctrl-C arrives
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    with make_server(HOST, port, application, server_class=_Server, handler_class=_Quiet) as server:
        print(f"Optuna's dashboard on {masked(storage)} runs at http://{HOST}:{port} (Ctrl-C ends it)", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("\nOptuna's dashboard has ended; the same command opens it again", flush=True)
