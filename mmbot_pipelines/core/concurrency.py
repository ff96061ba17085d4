"""Ask several questions at the same time: together they take one round trip. Pure but for threads.

    with concurrency.questions() as ask:
        balance = ask.submit(chain.balance)
        nonce = ask.submit(chain.nonce, pending=True)
    use(balance.result(), nonce.result())

`result` raises what its question raised, so that failures come in the order in which answers
are used, and not in the order in which they come.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ParamSpec, TypeVar

_T = TypeVar("_T")
_P = ParamSpec("_P")


@dataclass(frozen=True, slots=True)
class Questions:
    """The questions that are asked at the same time, each in a thread of its own."""

    _answers: list[Future[Any]] = field(default_factory=list)

    def submit(self, ask: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """Begin to ask; return where the answer will stand."""
        answer = Future[_T]()

        def run() -> None:
            try:
                answer.set_result(ask(*args, **kwargs))
            except BaseException as e:  # handed over to the thread that uses the answer
                answer.set_exception(e)

        # A daemon, unlike a ThreadPoolExecutor's: a node that hangs keeps no process from ending.
        threading.Thread(target=run, name="question", daemon=True).start()
        self._answers.append(answer)
        return answer

    def wait(self) -> None:
        """Wait until all are answered, well or not."""
        futures.wait(self._answers)


@contextmanager
def questions() -> Iterator[Questions]:
    """Ask in the block; leaving it waits for all answers, but where the process is to end."""
    asked = Questions()
    try:
        yield asked
    except Exception:
        asked.wait()
        raise
    asked.wait()
