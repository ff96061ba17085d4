"""The port `Workers` on a Redis-compatible broker: keys that expire show what is alive.

    mmbot:worker:NAME   a worker that takes runs
    mmbot:run:ID        a run that a worker executes

Reads and writes the broker.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Lock, Thread

import redis
from pydantic import SecretStr

from mmbot_pipelines.core.errors import TryAgain

_BEAT_SECONDS = 2.0
_ALIVE_SECONDS = 15  # without a beat; a busy machine may delay several
_FAULT_KNOWN_SECONDS = 1.0  # a sensor asks several times a second
_ANSWER_SECONDS = 3.0
_WORKER, _RUN = "mmbot:worker:", "mmbot:run:"


class BrokerUnavailable(TryAgain):
    """The broker does not answer."""


class BrokerWorkers:
    """The workers that take runs from one broker."""

    def __init__(self, url: SecretStr, place: str) -> None:
        """Describe the broker; the first question opens a connection.

        place: the broker in error messages, without its password.
        """
        self._redis = redis.Redis.from_url(
            url.get_secret_value().replace("redis+socket://", "unix://", 1),
            socket_connect_timeout=_ANSWER_SECONDS,
            socket_timeout=_ANSWER_SECONDS,
        )
        self._place = place
        self._lock = Lock()
        self._asked_at = float("-inf")
        self._fault: str | None = None

    def fault(self) -> str | None:
        """Return why no run can start at present, or None; asked once a second."""
        with self._lock:
            if time.monotonic() - self._asked_at > _FAULT_KNOWN_SECONDS:
                self._fault = self._find_fault()
                self._asked_at = time.monotonic()
            return self._fault

    def alive(self) -> list[str]:
        """Return the names of the workers that take runs.

        Raises:
            BrokerUnavailable: the broker does not answer.
        """
        with self._errors():
            keys = self._redis.scan_iter(f"{_WORKER}*", count=1000)
            return sorted(key.decode().removeprefix(_WORKER) for key in keys)

    def is_running(self, run_id: str) -> bool:
        """Return whether a worker executes a run.

        A broker that has just started has forgotten it: then it is taken as executed.

        Raises:
            BrokerUnavailable: the broker does not answer.
        """
        with self._errors():
            if self._redis.exists(_RUN + run_id):
                return True
            return float(self._redis.info("server")["uptime_in_seconds"]) < _ALIVE_SECONDS

    def serve(self, name: str) -> None:
        """Show as long as this process lives that a worker takes runs."""
        self._start_beat(_WORKER + name, Event())

    @contextmanager
    def executing(self, run_id: str) -> Iterator[None]:
        """Show as long as the body runs that a worker executes a run."""
        key, done = _RUN + run_id, Event()
        thread = self._start_beat(key, done)
        try:
            yield
        finally:
            done.set()
            thread.join()
            try:
                self._redis.delete(key)
            except redis.RedisError:
                return  # it expires

    def _start_beat(self, key: str, done: Event) -> Thread:
        self._set(key)
        thread = Thread(target=self._beat, args=(key, done), daemon=True, name="beat")
        thread.start()
        return thread

    def _beat(self, key: str, done: Event) -> None:
        while not done.wait(_BEAT_SECONDS):
            self._set(key)

    def _set(self, key: str) -> None:
        try:
            self._redis.set(key, b"", ex=_ALIVE_SECONDS)
        except redis.RedisError:
            return  # the next one tries again

    def _find_fault(self) -> str | None:
        try:
            alive = self.alive()
        except BrokerUnavailable as e:
            return str(e)
        return None if alive else f"no worker takes runs from {self._place}: start `mmbot workers`"

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except redis.RedisError as e:
            # The text of an error may repeat the URL.
            raise BrokerUnavailable(
                f"the broker {self._place} does not answer ({type(e).__name__})"
            ) from None
