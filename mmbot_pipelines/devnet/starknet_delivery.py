"""Carries messages from L1 to the local Starknet.

Reads LogMessageToL2 of the messaging contract on L1, executes each message's handler
in the L2 block being built, and consumes the message on L1, so that
`l1ToL2Messages(hash)` falls from fee + 1 to 0. The contract's operator has no key:
anvil impersonates it.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
from eth_abi.abi import decode, encode
from starknet_py.hash.utils import keccak256

from mmbot_pipelines.devnet.starknet_inbox import Inbox
from mmbot_pipelines.devnet.starknet_sequencer import Sequencer
from mmbot_pipelines.devnet.starknet_transactions import L1Message

log = logging.getLogger(__name__)

TOPIC = f"{keccak256(b'LogMessageToL2(address,uint256,uint256,uint256[],uint256,uint256)'):#066x}"
CONSUME = "consumeMessageToL2(address,uint256,uint256,uint256[],uint256)"
OPERATOR = f"{keccak256(b'mmbot.devnet.starknet.operator') % 2**160:#042x}"
FINALITY = ("PRE_CONFIRMED", "ACCEPTED_ON_L2", "ACCEPTED_ON_L1")
REORG_WINDOW = 64  # L1 blocks that are read again at every new head
RESEND_AFTER = 3  # L1 blocks in which a consumption must be mined


class L1Error(Exception):
    """The L1 node answered with an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class L1Link:
    """Where messages come from, and when L1 learns that they were delivered."""

    rpc_url: str
    messaging: str  # address of StarknetMessaging
    poll: float = 0.2  # seconds
    # In the deployed protocol a state update on L1 consumes messages (ACCEPTED_ON_L1);
    # the devnet lets nobody wait that long unless told to.
    consume_at: str = "PRE_CONFIRMED"


class Delivery:
    """Deliver messages while `run` runs; an L1 that is away is awaited."""

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
        handler = self._chain.handler_of(message_hash)
        if handler is None:
            return False
        finality = self._chain.finality(self._chain.place(handler)[0])
        return FINALITY.index(finality) >= FINALITY.index(self._link.consume_at)

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
