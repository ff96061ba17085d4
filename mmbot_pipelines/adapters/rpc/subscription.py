"""What a chain's node announces over a WebSocket (eth_subscribe and its like). Reads chain.

A notification is only a reason to look: what is paid on is read afterwards, over the pool and its
quorum. So a node that lies, floods or is silent costs a few looks, or some seconds.
"""

import itertools
import json
import logging
import os
import threading
import time
from collections.abc import Mapping, Sequence

from mmbot_pipelines.adapters.rpc.node import RpcCall
from mmbot_pipelines.core.text import cleaned, redacted_host

_CONNECT_SECONDS = 5.0
_SILENT_SECONDS = 20.0  # without a message: longer than a slot of Ethereum
_MIN_RETRY_SECONDS = 1.0
_MAX_RETRY_SECONDS = 30.0
_MAX_BYTES = 2**18  # of one message; a block's header has 2 kB
# A flood is read no faster than this: 250 messages a second. The rest waits at the sender.
_MAX_MESSAGES = 50
_PAUSE_SECONDS = 0.2

_log = logging.getLogger(__name__)
_library_log = logging.getLogger(f"{__name__}.websockets")
_library_log.setLevel(logging.WARNING)  # it logs requests, with the keys in URLs


class _Refused(Exception):
    """The node does not offer a subscription."""


class Subscription:
    """The port `core.notifications.Notifications` of one chain. Threads may share it.

    A thread of the process that waits receives; a process that never waits has none.
    """

    def __init__(self, urls: Sequence[str], calls: Sequence[RpcCall], *, chain: str) -> None:
        """Describe the chain; the first `wait` connects.

        urls: ws:// or wss://; where one fails the next is used.
        calls: that subscribe. Notifications of the last are reasons to look; those of the
            others show that the connection lives.
        chain: as the settings name it, e.g. "L1" of MMBOT_L1_WS_URLS.
        """
        self._urls = urls
        self._calls = calls
        self._chain = chain
        self._pid: int | None = None  # of the process that has the thread
        self._starting = threading.Lock()
        self._changed = threading.Condition()
        self._is_live = False
        self._is_failure_logged = False
        self.count = 0
        self.announced_at = 0.0

    @property
    def is_live(self) -> bool:
        """Return whether a node announces what is new."""
        return self._is_live and self._pid == os.getpid()

    def wait(self, count: int, seconds: float) -> None:
        """Return when there have been other than `count` reasons, or after some seconds."""
        self._start()
        with self._changed:
            self._changed.wait_for(lambda: self.count != count, max(0.0, seconds))

    def _start(self) -> None:
        with self._starting:
            if self._pid == os.getpid():
                return
            # A thread does not come along with a fork.
            self._pid, self._is_live, self._changed = os.getpid(), False, threading.Condition()
            name = f"notifications of {self._chain}"
            threading.Thread(target=self._run, daemon=True, name=name).start()

    def _run(self) -> None:
        pause = _MIN_RETRY_SECONDS
        for url in itertools.cycle(self._urls):
            try:
                self._receive(url)
            except Exception as e:  # whatever it was: sensors poll, and this is tried again
                # Other messages than ours may repeat the URL.
                why = str(e) if isinstance(e, _Refused) else type(e).__name__
                self._log_failure(url, why)
            pause = _MIN_RETRY_SECONDS if self._is_live else min(2 * pause, _MAX_RETRY_SECONDS)
            self._is_live = False
            time.sleep(pause)

    def _receive(self, url: str) -> None:
        """Receive until the connection ends or is silent: it raises then."""
        # Only sensors receive: runs and commands need no WebSocket.
        from websockets.sync.client import connect  # noqa: PLC0415

        with connect(
            url,
            open_timeout=_CONNECT_SECONDS,
            close_timeout=1,
            compression=None,
            max_size=_MAX_BYTES,
            logger=_library_log,
        ) as socket:
            for number, (method, params) in enumerate(self._calls):
                asked = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
                socket.send(json.dumps(asked))
            granted: dict[int, object] = {}  # subscription ids by our own
            for received in itertools.count(1):
                message = json.loads(socket.recv(timeout=_SILENT_SECONDS))
                if not isinstance(message, dict):
                    continue
                if message.get("id") in range(len(self._calls)):
                    granted[message["id"]] = self._granted(message)
                    if len(granted) == len(self._calls):
                        self._go_live(url)
                elif self._is_live and _id_of(message) == granted[len(self._calls) - 1]:
                    self._announce()
                if received % _MAX_MESSAGES == 0:
                    time.sleep(_PAUSE_SECONDS)

    def _granted(self, message: Mapping[str, object]) -> object:
        if message.get("result") is None:
            method, _ = self._calls[0]
            raise _Refused(f"refuses {method}: {cleaned(message.get('error'))}")
        return message["result"]

    def _go_live(self, url: str) -> None:
        # A warning, as all that an operator shall see in the code server's log.
        _log.warning("%s: node %s announces what is new", self._chain, redacted_host(url))
        self._is_live, self._is_failure_logged = True, False
        self._announce()  # what came before was missed

    def _announce(self) -> None:
        with self._changed:
            self.count += 1
            self.announced_at = time.monotonic()
            self._changed.notify_all()

    def _log_failure(self, url: str, why: str) -> None:
        """Log the first failure of an outage; the others are the same."""
        if not self._is_failure_logged:
            text = "%s: node %s announces nothing (%s); polling until it does"
            _log.warning(text, self._chain, redacted_host(url), why)
        self._is_failure_logged = True


def _id_of(message: Mapping[str, object]) -> object:
    """Return the subscription of a notification: chains name it differently."""
    params = message.get("params")
    if not isinstance(params, dict):
        return None
    return params.get("subscription", params.get("subscription_id"))
