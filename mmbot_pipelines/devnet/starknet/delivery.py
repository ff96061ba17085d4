"""Carries messages from L1 to the local Starknet.

Reads LogMessageToL2 of the messaging contract on L1, executes each message's handler
in the L2 block being built, and consumes the message on L1, so that
`l1ToL2Messages(hash)` falls from fee + 1 to 0. The contract's operator has no key:
anvil impersonates it.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
from eth_abi.abi import decode, encode
from starknet_py.hash.utils import keccak256

from mmbot_pipelines.devnet.starknet.chain import L1Message, RpcError
from mmbot_pipelines.devnet.starknet.sequencer import Sequencer

log = logging.getLogger(__name__)

TOPIC = f"{keccak256(b'LogMessageToL2(address,uint256,uint256,uint256[],uint256,uint256)'):#066x}"
CONSUME = "consumeMessageToL2(address,uint256,uint256,uint256[],uint256)"
OPERATOR = f"{keccak256(b'mmbot.devnet.starknet.operator') % 2**160:#042x}"
MODES = ("deliver", "withhold", "fail")
REORG_WINDOW = 64  # L1 blocks that are read again at every new head
RESEND_AFTER = 3  # L1 blocks in which a consumption must be mined


class L1Error(Exception):
    """The L1 node answered with an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class L1Link:
    """Where messages come from."""

    rpc_url: str
    messaging: str  # address of StarknetMessaging
    poll: float = 0.2  # seconds


class Inbox:
    """Keep messages until their handlers are executed, and again should a reorg undo that."""

    def __init__(self, sequencer: Sequencer) -> None:
        self.messages: dict[int, L1Message] = {}  # by hash
        self._mode = "deliver"
        self._blocks: dict[int, int] = {}  # by hash, the L1 block that sent it
        self._sequencer = sequencer
        self._changed = asyncio.Event()

    def set_mode(self, mode: str) -> None:
        """Deliver, withhold or fail messages from now on, withheld ones included."""
        self._mode = mode
        self._changed.set()

    async def changed(self, max_seconds: float) -> None:
        """Wait until the mode changes, `max_seconds` at most."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), max_seconds)
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
        """Replace what L1 held from its block `first` on: the rest is gone in a reorg."""
        for message_hash in [h for h, block in self._blocks.items() if block >= first]:
            del self.messages[message_hash], self._blocks[message_hash]
        for block, message in found:
            self.messages[message.hash] = message
            self._blocks[message.hash] = block

    def execute(self) -> None:
        """Execute the handlers that the chain does not hold yet."""
        for message_hash, message in self.messages.items():
            held = self._sequencer.chain.handler_of(message_hash) is not None
            if not held and self._mode != "withhold":
                failure = "Out of gas" if self._mode == "fail" else None
                self._sequencer.deliver(message, failure)


class Delivery:
    """Deliver messages while `run` runs; it waits for an L1 that is away."""

    def __init__(self, sequencer: Sequencer, inbox: Inbox, link: L1Link) -> None:
        self._chain = sequencer.chain
        self._inbox = inbox
        self._link = link
        self._scanned = -1  # newest L1 block read
        self._head = ""
        self._sent: dict[int, int] = {}  # L1 block in which a message was found delivered
        self._impersonating = False

    async def run(self) -> None:
        """Deliver until cancelled."""
        reachable = True
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
            while True:
                try:
                    await self._step(session)
                    reachable = True
                except (aiohttp.ClientError, TimeoutError, L1Error) as e:
                    if reachable:
                        log.warning("L1 at %s: %s; trying again", self._link.rpc_url, e)
                    reachable = self._impersonating = False
                await self._inbox.changed(self._link.poll)

    async def _step(self, session: aiohttp.ClientSession) -> None:
        (block,) = await self._rpc(session, [("eth_getBlockByNumber", ["latest", False])])
        head, is_new = int(block["number"], 16), block["hash"] != self._head
        if is_new:
            await self._read(session, head)
        self._inbox.execute()
        await self._consume(session, head, is_new=is_new)
        self._head = block["hash"]

    async def _read(self, session: aiohttp.ClientSession, head: int) -> None:
        first = max(0, min(self._scanned, head) - REORG_WINDOW)
        query = {
            "address": self._link.messaging,
            "topics": [TOPIC],
            "fromBlock": hex(first),
            "toBlock": hex(head),
        }
        (logs,) = await self._rpc(session, [("eth_getLogs", [query])])
        self._inbox.put(first, [(int(entry["blockNumber"], 16), decoded(entry)) for entry in logs])
        self._scanned = head

    async def _consume(self, session: aiohttp.ClientSession, head: int, *, is_new: bool) -> None:
        """Consume on L1 what was delivered and is not consumed yet."""
        due = [h for h in self._inbox.messages if self._is_due(h, head, is_new=is_new)]
        if not due:
            return
        to = self._link.messaging
        calls = [
            {"to": to, "data": _calldata("l1ToL2Messages(bytes32)", [h.to_bytes(32, "big")])}
            for h in due
        ]
        kept = await self._rpc(session, [("eth_call", [call, "latest"]) for call in calls])
        requests: list[tuple[str, list[Any]]] = []
        for message_hash, fee in zip(due, kept, strict=True):
            sent = self._sent.get(message_hash)
            if sent is not None and sent <= head < sent + RESEND_AFTER:
                continue
            self._sent[message_hash] = head
            if int(fee, 16) > 0:
                m = self._inbox.messages[message_hash]
                values = [f"{m.from_address:#042x}", m.to_address, m.selector, m.payload, m.nonce]
                transaction = {"from": OPERATOR, "to": to, "data": _calldata(CONSUME, values)}
                requests.append(("eth_sendTransaction", [transaction]))
        if requests and not self._impersonating:
            requests.insert(0, ("anvil_setBalance", [OPERATOR, hex(10**24)]))
            requests.insert(0, ("anvil_impersonateAccount", [OPERATOR]))
        if requests:
            try:
                await self._rpc(session, requests)
            except L1Error:
                # anvil chooses the nonces, and stumbles when a block takes one meanwhile
                for message_hash in due:
                    self._sent.pop(message_hash, None)
                raise
            self._impersonating = True

    def _is_due(self, message_hash: int, head: int, *, is_new: bool) -> bool:
        sent = self._sent.get(message_hash)
        if sent is not None and not (is_new and head - sent < REORG_WINDOW):
            return False
        # The deployed protocol consumes by a state update on L1, much later than this.
        return self._chain.handler_of(message_hash) is not None

    async def _rpc(
        self, session: aiohttp.ClientSession, calls: Sequence[tuple[str, list[Any]]]
    ) -> list[Any]:
        """Send calls to L1 as one batch and return their results in order."""
        batch = [
            {"jsonrpc": "2.0", "id": i, "method": method, "params": params}
            for i, (method, params) in enumerate(calls)
        ]
        async with session.post(self._link.rpc_url, json=batch) as response:
            answers = await response.json(content_type=None)
        if not isinstance(answers, list):
            raise L1Error(str(answers)[:200])
        if errors := [a["error"]["message"] for a in answers if "error" in a]:
            raise L1Error(errors[0])
        return [a["result"] for a in sorted(answers, key=lambda a: int(a["id"]))]


def decoded(entry: Any) -> L1Message:
    """Read LogMessageToL2 from an L1 log."""
    payload, nonce, fee = decode(
        ["uint256[]", "uint256", "uint256"], bytes.fromhex(entry["data"].removeprefix("0x"))
    )
    sender, to, selector = (int(topic, 16) for topic in entry["topics"][1:])
    return L1Message(
        from_address=sender,
        to_address=to,
        selector=selector,
        payload=tuple(payload),
        nonce=nonce,
        fee=fee,
        l1_transaction=int(entry["transactionHash"], 16),
    )


def _calldata(signature: str, arguments: Sequence[Any]) -> str:
    types = signature[signature.index("(") + 1 : -1].split(",")
    selector = (keccak256(signature.encode()) >> 224).to_bytes(4, "big")
    return "0x" + (selector + encode(types, arguments)).hex()
