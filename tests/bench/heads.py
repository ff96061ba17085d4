"""When each block, or each broadcast transaction, of a local chain appeared, to milliseconds."""

import json
import threading
import time
from typing import Any, Self

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

Key = int | str  # a block's number, or a transaction's hash


class Heads:
    """Notes the time of every new block, told by the chain itself over a WebSocket."""

    _what = "newHeads"

    def __init__(self, url: str) -> None:
        """Take the chain's HTTP URL; anvil serves WebSockets there too."""
        self._socket = connect("ws" + url.removeprefix("http"), max_size=None)
        self._socket.send(
            json.dumps(
                {"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": [self._what]}
            )
        )
        self._seen: dict[Key, float] = {}
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._thread.join()

    def at(self, key: Key) -> float:
        """Return the monotonic time at which a block of the recent past appeared.

        Raises:
            KeyError: it is older than the subscription.
        """
        with self._changed:
            self._changed.wait_for(lambda: key in self._seen, timeout=5)
            return self._seen[key]

    def await_next(self, seconds: float) -> None:
        """Wait for another block, at most so long."""
        with self._changed:
            count = len(self._seen)
            self._changed.wait_for(lambda: len(self._seen) > count, timeout=seconds)

    def _listen(self) -> None:
        try:
            for message in self._socket:
                now, told = time.monotonic(), json.loads(message).get("params")
                if told is not None:
                    with self._changed:
                        self._seen.setdefault(self._key(told["result"]), now)
                        self._changed.notify_all()
        except ConnectionClosed:
            return

    def _key(self, result: Any) -> Key:
        return int(result["number"], 16)


class Broadcasts(Heads):
    """Notes the time at which the chain's node got each transaction."""

    _what = "newPendingTransactions"

    def _key(self, result: Any) -> Key:
        return str(result)
