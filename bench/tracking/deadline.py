"""Calls that may hang, with a deadline for each: a server that answers a byte a second must not stop a study."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")


class Worker:
    """Makes calls one after another in a thread of its own, and waits for each no longer than is said.

    A call that hangs cannot be ended from outside: it stays behind in its thread, which does not keep the process from
    ending, and every later call is refused at once.
    """

    def __init__(self) -> None:
        self._todo: SimpleQueue[tuple[Callable[[], Any], SimpleQueue[tuple[bool, Any]]]] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self.hangs = False

    def call(self, function: Callable[..., T], *args: Any, within: float) -> T:
        """What `function(*args)` returns or raises.

        Args:
            function: called in the worker's thread.
            args: its arguments.
            within: seconds to wait.

        Raises:
            TimeoutError: it took longer, or an earlier call hangs still.
        """
        if self.hangs:
            raise TimeoutError("an earlier call was not answered")
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, daemon=True, name="mlflow")
            self._thread.start()
        answer: SimpleQueue[tuple[bool, Any]] = SimpleQueue()
        self._todo.put((lambda: function(*args), answer))
        try:
            came, what = answer.get(timeout=within)
        except Empty:
            self.hangs = True
            raise TimeoutError(f"no answer within {within:g} s") from None
        if not came:
            raise what
        result: T = what
        return result

    def _work(self) -> None:
        while True:
            call, answer = self._todo.get()
            try:
                answer.put((True, call()))
            except BaseException as error:  # whatever it is, it belongs to the caller
                answer.put((False, error))
