"""Carries messages from L1 to the local Starknet.

Reads LogMessageToL2 of the messaging contract on L1, executes each message's handler
in the L2 block being built, and consumes the message on L1, so that
`l1ToL2Messages(hash)` falls from fee + 1 to 0. The contract's operator has no key:
anvil impersonates it.
"""

import asyncio
import logging
from dataclasses import dataclass

import aiohttp
from eth_typing import ChecksumAddress
from web3 import AsyncHTTPProvider, AsyncWeb3
from web3.exceptions import Web3Exception
from web3.types import EventData, RPCEndpoint

from mmbot_pipelines.devnet.artifacts import artifact
from mmbot_pipelines.devnet.starknet.chain import L1Message
from mmbot_pipelines.devnet.starknet.sequencer import Sequencer

log = logging.getLogger(__name__)

_REORG_WINDOW = 64  # L1 blocks that are read again at every new head
_GAS = 1_000_000  # of a consumption


@dataclass(frozen=True, slots=True, kw_only=True)
class L1Link:
    """Where messages come from."""

    rpc_url: str
    messaging: ChecksumAddress  # StarknetMessaging
    poll: float = 0.2  # seconds


class Inbox:
    """Keep messages until their handlers are executed, and again should a reorg undo that."""

    def __init__(self, sequencer: Sequencer) -> None:
        self.messages: dict[int, L1Message] = {}  # by hash
        self.mode = "deliver"  # or "withhold", or "fail": let their handlers revert
        self._sequencer = sequencer

    def executed(self) -> list[L1Message]:
        """Return those whose handlers the chain holds."""
        return [m for m in self.messages.values() if self._sequencer.chain.knows(m.handler)]

    def execute(self) -> bool:
        """Execute the handlers that the chain does not hold yet; return whether there were any."""
        if self.mode == "withhold":
            return False
        chain = self._sequencer.chain
        due = [m for m in self.messages.values() if not chain.knows(m.handler)]
        for message in due:
            self._sequencer.deliver(message, "Out of gas" if self.mode == "fail" else None)
        return bool(due)


class StarknetDelivery:
    """Deliver messages while `run` runs; it waits for an L1 that is away."""

    def __init__(self, inbox: Inbox, link: L1Link) -> None:
        self._inbox = inbox
        self._link = link
        self._w3 = AsyncWeb3(AsyncHTTPProvider(link.rpc_url, exception_retry_configuration=None))
        self._messaging = self._w3.eth.contract(
            address=link.messaging, abi=artifact("StarknetMessaging")["abi"]
        )
        self._consumed: dict[int, L1Message] = {}  # on L1, by hash
        self._scanned = 0  # newest L1 block read
        self._head = b""  # its hash

    async def run(self) -> None:
        """Deliver until cancelled."""
        reachable = True
        try:
            while True:
                try:
                    await self._step()
                    reachable = True
                except (aiohttp.ClientError, TimeoutError, Web3Exception) as e:
                    if reachable:
                        log.warning("L1 at %s: %s; trying again", self._link.rpc_url, e)
                    reachable = False
                await asyncio.sleep(self._link.poll)
        finally:
            await self._w3.provider.disconnect()

    async def _step(self) -> None:
        head = await self._w3.eth.get_block("latest")
        is_new = head["hash"] != self._head
        if is_new:
            await self._read(head["number"])
        if self._inbox.execute() or is_new:
            await self._consume()
        self._head = head["hash"]

    async def _read(self, head: int) -> None:
        """Read what L1 sent and consumed, in place of what its last blocks held before."""
        first = max(0, min(self._scanned, head) - _REORG_WINDOW)
        events = self._messaging.events
        for event, known in (
            (events.LogMessageToL2(), self._inbox.messages),
            (events.ConsumedMessageToL2(), self._consumed),
        ):
            logs = await event.get_logs(from_block=first, to_block=head)
            for message_hash in [h for h, m in known.items() if m.l1_block >= first]:
                del known[message_hash]
            known.update({m.hash: m for m in map(message_of, logs)})
        self._scanned = head

    async def _consume(self) -> None:
        """Consume on L1 what was delivered, where no transaction of ours is about to."""
        functions = self._messaging.functions
        for m in self._inbox.executed():
            kept = functions.l1ToL2Messages(m.hash.to_bytes(32, "big"))
            if m.hash in self._consumed or not await kept.call(block_identifier="pending"):
                continue
            # The deployed protocol consumes by a state update on L1, much later than this.
            operator = await functions.operator().call()
            await self._ask("anvil_impersonateAccount", operator)
            await self._ask("anvil_setBalance", operator, hex(10**24))
            sender = self._w3.to_checksum_address(f"{m.from_address:#042x}")
            call = functions.consumeMessageToL2(
                sender, m.to_address, m.selector, m.payload, m.nonce
            )
            await call.transact({"from": operator, "gas": _GAS})

    async def _ask(self, method: str, *params: str) -> None:
        await self._w3.provider.make_request(RPCEndpoint(method), params)


def message_of(log: EventData) -> L1Message:
    """Read LogMessageToL2 or ConsumedMessageToL2."""
    values = log["args"]
    return L1Message(
        from_address=int(values["fromAddress"], 16),
        to_address=values["toAddress"],
        selector=values["selector"],
        payload=tuple(values["payload"]),
        nonce=values["nonce"],
        l1_block=log["blockNumber"],
        l1_transaction=int.from_bytes(log["transactionHash"]),
    )
