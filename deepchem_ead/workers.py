"""Processes that work through a list and may hang or die of an item without harm to the others."""

from __future__ import annotations

import faulthandler
import logging
import multiprocessing
import os
import signal
import sys
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

#: ``work(item, enter)`` calls ``enter(k)`` when it begins its stage k.
Work = Callable[[Any, Callable[[int], None]], Any]

_ORPHANED = 5.0  # seconds between looks at whether the parent is still there
_LOOK = 1.0  # seconds between looks at the time; what is longer was no time to compute in


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True)
class Failure:
    """Why there is no result of an item.

    Attributes
    ----------
    kind : {"timeout", "crash"}
    stage : int
        The stage it was in; -1 before the first.
    what : str
        In a few words.
    """

    kind: str
    stage: int
    what: str


def guarded(
    work: Work, items: Sequence[Any], n_workers: int, time_limit: float
) -> Iterator[tuple[int, Any | Failure]]:
    """Results of ``work`` for each item, as they come, with the item's place.

    Parameters
    ----------
    work : callable
        Runs in processes of its own, forked where the system can: what has been registered and
        imported here is there, too.
    items : sequence
    n_workers : int
    time_limit : float
        Seconds for an item; then its process is ended.

    Yields
    ------
    place : int
    result : object or Failure
    """
    todo = deque(range(len(items)))
    crew = [_Worker(work) for _ in range(min(n_workers, len(items)))]
    try:
        while todo or any(worker.busy for worker in crew):
            for worker in crew:
                if not worker.busy and todo:
                    worker.give(todo.popleft(), items)
            yield from _answers(crew, time_limit)
    finally:
        for worker in crew:
            worker.end()


def _answers(crew: list[_Worker], time_limit: float) -> Iterator[tuple[int, Any | Failure]]:
    busy: dict[Any, _Worker] = {each.connection: each for each in crew if each.busy}
    began = time.monotonic()
    ready = wait(list(busy), min(_LOOK, time_limit / 4))
    # A machine that was suspended, or stopped all of us, has given nobody that time.
    passed = min(time.monotonic() - began, 2 * _LOOK)
    for connection in ready:
        worker = busy[connection]
        place = worker.place
        try:
            answer = worker.answer()
        except (EOFError, OSError):
            answer = worker.died()
        yield place, answer
    for worker in busy.values():
        worker.spent += passed
        if worker.busy and worker.spent > time_limit:
            place = worker.place
            yield place, worker.stop(time_limit)


class _Worker:
    """A process and what it is doing."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self.place: int = -1
        self.spent = 0.0
        self._start()

    def _start(self) -> None:
        context: Any = multiprocessing.get_context(_start_method())
        self._stage = context.RawValue("i", -1)
        self.connection, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(self._work, theirs, self._stage, os.getpid()), daemon=True
        )
        with warnings.catch_warnings():
            # Threads of the parent are none of the child's business: it computes by itself.
            warnings.filterwarnings("ignore", ".*fork.*", DeprecationWarning)
            self._process.start()
        theirs.close()

    @property
    def busy(self) -> bool:
        return self.place >= 0

    def give(self, place: int, items: Sequence[Any]) -> None:
        self._stage.value = -1
        try:
            self.connection.send(items[place])
        except OSError:  # it died while it had nothing to do
            self._restart()
            self.connection.send(items[place])
        self.place, self.spent = place, 0.0

    def answer(self) -> Any:
        answer = self.connection.recv()
        self.place = -1
        return answer

    def died(self) -> Failure:
        self._process.join(5)
        code = self._process.exitcode
        what = f"signal {signal.Signals(-code).name}" if code and code < 0 else f"exit code {code}"
        return self._given_up("crash", f"the process ended with {what}")

    def stop(self, time_limit: float) -> Failure:
        return self._given_up("timeout", f"not finished after {time_limit:g} s")

    def _given_up(self, kind: str, what: str) -> Failure:
        failure = Failure(kind, self._stage.value, what)
        self.place = -1
        self._restart()
        return failure

    def _restart(self) -> None:
        self.end()
        self._start()

    def end(self) -> None:
        self.connection.close()
        self._process.kill()
        self._process.join()


def _start_method() -> str:
    methods = multiprocessing.get_all_start_methods()
    return "fork" if "fork" in methods and sys.platform != "darwin" else "spawn"


def _serve(work: Work, connection: Connection, stage: Any, parent: int) -> None:
    """What a worker does until its parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    logging.disable()
    faulthandler.disable()  # the parent says what happened
    os.environ["OMP_NUM_THREADS"] = "1"
    _one_thread()

    def enter(k: int) -> None:
        stage.value = k

    with suppress(EOFError, OSError):
        while True:
            while not connection.poll(_ORPHANED):
                if os.getppid() != parent:
                    return
            connection.send(work(connection.recv(), enter))


def _one_thread() -> None:
    """Libraries that are loaded already, too: several workers share the cores."""
    with suppress(ImportError):
        from threadpoolctl import threadpool_limits

        threadpool_limits(1)
