"""Messages from L1 that the local Starknet knows of, and what is to become of them."""

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Sequence

from mmbot_pipelines.devnet.starknet_errors import RpcError
from mmbot_pipelines.devnet.starknet_sequencer import Sequencer
from mmbot_pipelines.devnet.starknet_transactions import L1Message

log = logging.getLogger(__name__)

MODES = ("deliver", "withhold", "fail")


class Inbox:
    """Keep messages until their handlers are executed, and again should a reorg undo that."""

    def __init__(self, sequencer: Sequencer) -> None:
        self.mode = "deliver"
        self.messages: dict[int, L1Message] = {}  # by hash
        self._blocks: dict[int, int] = {}  # by hash, the L1 block that sent it
        self._sequencer = sequencer
        self._changed = asyncio.Event()

    def set_mode(self, mode: str) -> None:
        """Say what becomes of messages from now on, withheld ones included."""
        self.mode = mode
        self._changed.set()

    async def changed(self, at_most: float) -> None:
        """Wait until the mode changes, `at_most` seconds long."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), at_most)
        self._changed.clear()

    def sent_by(self, l1_transaction: int) -> Sequence[L1Message]:
        """Return the messages that an L1 transaction sent, in their order.

        Raises:
            RpcError: TXN_HASH_NOT_FOUND, none is known.
        """
        found = [m for m in self.messages.values() if m.l1_transaction == l1_transaction]
        if not found:
            raise RpcError("TXN_HASH_NOT_FOUND")
        return found

    def put(self, first: int, found: Iterable[tuple[int, L1Message]]) -> None:
        """Take what L1 holds from its block `first` on: the rest of those is gone in a reorg."""
        for message_hash in [h for h, block in self._blocks.items() if block >= first]:
            del self.messages[message_hash], self._blocks[message_hash]
        for block, message in found:
            self.messages[message.hash] = message
            self._blocks[message.hash] = block

    def execute(self) -> None:
        """Execute the handlers that the chain does not hold yet."""
        for message_hash, message in self.messages.items():
            held = self._sequencer.chain.handler_of(message_hash) is not None
            if held or self.mode == "withhold":
                continue
            failure = "Out of gas" if self.mode == "fail" else None
            executed = self._sequencer.deliver(message, failure)
            log.info("message %#066x: %s", message_hash, executed.revert_reason or "delivered")
