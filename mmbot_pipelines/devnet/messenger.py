"""Carry the diamond's requests from L1 to the L2, as zkSync's sequencer does.

A contract's request is executed there from its aliased address, so the escrow sees the
aliased registry: `L1Sender` stands there, and mints what the request paid for and did not
use to its refund recipient, in the same transaction. A person's request is a transaction
of that person, without a refund. The request's mark is appended to the calldata, where
Solidity ignores it: the chain itself records what was executed, and a new messenger, or one
on a chain that was rolled back, continues from the chain's state.

    python -m mmbot_pipelines.devnet.messenger --l1-rpc URL --l2-rpc URL --diamond ADDRESS
"""

import argparse
import logging
import signal
import threading
from collections import defaultdict
from dataclasses import dataclass, field

import requests
from eth_typing import ChecksumAddress
from hexbytes import HexBytes
from web3 import Web3
from web3.exceptions import Web3Exception
from web3.types import EventData, TxParams, Wei

from mmbot_pipelines.devnet.artifacts import contract, runtime_code
from mmbot_pipelines.devnet.chain import ask, connect, mined
from mmbot_pipelines.devnet.deploy import ALIAS_OFFSET

log = logging.getLogger(__name__)

MARK_BYTES = 32
REORG_DEPTH = 64  # blocks of L1 that are read again on every pass
BALANCE = 100 * 10**18  # wei, for the sender's gas: the L1 side has paid for it
BOOTLOADER = Web3.to_checksum_address("0x" + "8001".zfill(40))  # who executes requests on zkSync
BASE_TOKEN = Web3.to_checksum_address("0x" + "800a".zfill(40))  # who creates ether there
CREATED = 10**9 * 10**18  # wei that it has to give out
OVERHEAD = 150_000  # gas of `L1Sender` and of minting, beside the request's own


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One transaction asked for on L1."""

    id: int
    tx_hash: HexBytes
    sender: ChecksumAddress
    to: ChecksumAddress
    value: int  # wei
    data: bytes
    gas_limit: int
    gas_price: int  # wei per L2 gas
    paid: int  # wei, on L1
    refund_recipient: ChecksumAddress

    @property
    def mark(self) -> bytes:
        """Return the request's identity: a hash without the price at which L1 mines it.

        A reorg of L1 gives it another price, and so another hash, when this L2 has executed it.
        """
        fields = (self.id, int(self.sender, 16), int(self.to, 16), self.value, self.gas_limit)
        return Web3.keccak(b"".join(word.to_bytes(32, "big") for word in fields) + self.data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One request executed on the L2."""

    request: Request
    tx_hash: HexBytes
    success: bool  # False: it reverted there; it will not be tried again


@dataclass(kw_only=True)
class Messenger:
    """Deliver requests in their order, each exactly once."""

    l1: Web3
    l2: Web3
    diamond: ChecksumAddress
    _executed: dict[ChecksumAddress, list[bytes]] = field(
        default_factory=lambda: defaultdict(list), repr=False
    )
    _executors: dict[ChecksumAddress, ChecksumAddress] = field(default_factory=dict, repr=False)
    _delivered_to: int = 0  # block of L1 up to which the L2 has everything

    def deliver(self) -> list[Delivery]:
        """Execute what is due, in one pass, and return it once the L2 has mined it."""
        upto = self.l1.eth.block_number
        sent = [(request, self._execute(request)) for request in self.due(upto)]
        self._delivered_to = upto
        return [
            Delivery(
                request=request, tx_hash=tx_hash, success=mined(self.l2, tx_hash)["status"] == 1
            )
            for request, tx_hash in sent
        ]

    def due(self, upto: int) -> list[Request]:
        """Return the requests up to a block of L1 that the L2 has not executed, in order."""
        for sender in tuple(self._executed):
            self._read_executed(sender)
        start = max(0, min(upto, self._delivered_to) - REORG_DEPTH)
        diamond = contract(self.l1, "ZkSyncDiamond", self.diamond)
        events = diamond.events.NewPriorityRequest.get_logs(from_block=start, to_block=upto)
        requested = sorted(map(decode, events), key=lambda request: request.id)
        by = {r.id: self._executor(r) for r in requested}
        done = {sender: self._read_executed(sender) for sender in set(by.values())}
        return [r for r in requested if r.mark not in done[by[r.id]]]

    def run(self, stop: threading.Event, *, poll: float = 0.2) -> None:
        """Deliver at each new block until `stop` is set; retry while a chain is unreachable.

        poll: seconds between two looks for a new block.
        """
        delivered_at: list[str] = []
        while not stop.is_set():
            try:
                heads = [
                    ask(w3, "eth_getBlockByNumber", "latest", False)["hash"]
                    for w3 in (self.l1, self.l2)
                ]
                if heads != delivered_at:
                    for delivery in self.deliver():
                        log.info("request %d: %s", delivery.request.id, outcome(delivery))
                    delivered_at = heads
            except (requests.RequestException, Web3Exception, RuntimeError) as error:
                log.warning("the messages wait: %s", error)
            stop.wait(poll)

    def _read_executed(self, sender: ChecksumAddress) -> set[bytes]:
        """Return the marks of the requests that the L2 has taken from this sender."""
        count = self.l2.eth.get_transaction_count(sender, "pending")
        known = self._executed[sender]
        if known and (count < len(known) or self._mark_at(sender, len(known) - 1) != known[-1]):
            known.clear()  # the L2 was rolled back by an unknown depth: read all of L1 again
            self._delivered_to = 0
        known.extend(self._mark_at(sender, nonce) for nonce in range(len(known), count))
        return set(known)

    def _mark_at(self, sender: ChecksumAddress, nonce: int) -> bytes:
        found = ask(self.l2, "eth_getTransactionBySenderAndNonce", sender, hex(nonce))
        return HexBytes(found["input"])[-MARK_BYTES:] if found else b""

    def _executor(self, request: Request) -> ChecksumAddress:
        """Return whose transaction executes a request: a person's own, or the bootloader's."""
        sender = request.sender
        if sender not in self._executors:
            on_l1 = (int(sender, 16) - ALIAS_OFFSET) % 2**160
            is_contract = self.l1.eth.get_code(_address(on_l1)) != b""
            self._executors[sender] = BOOTLOADER if is_contract else sender
        return self._executors[sender]

    def _execute(self, request: Request) -> HexBytes:
        sender = self._executor(request)
        to, data = request.to, request.data
        if sender == BOOTLOADER:
            to, data = request.sender, self._wrapped(request)
        transaction: TxParams = {
            "from": sender,
            # A nonce of its own makes a second messenger's copy impossible.
            "nonce": self.l2.eth.get_transaction_count(sender, "pending"),
            "to": to,
            "value": Wei(request.value),
            "data": HexBytes(data + request.mark),
            "gas": min(
                request.gas_limit + OVERHEAD, self.l2.eth.get_block("latest")["gasLimit"] // 2
            ),
        }
        if self.l2.eth.get_balance(sender) < BALANCE + request.value:
            ask(self.l2, "anvil_setBalance", sender, hex(BALANCE + request.value))
        ask(self.l2, "anvil_impersonateAccount", sender)
        try:
            return self.l2.eth.send_transaction(transaction)
        finally:
            ask(self.l2, "anvil_stopImpersonatingAccount", sender)

    def _wrapped(self, request: Request) -> bytes:
        """Encode the call of `L1Sender`, which it and the base token are made ready for."""
        for address, name in ((request.sender, "L1Sender"), (BASE_TOKEN, "L2BaseToken")):
            if not self.l2.eth.get_code(address):
                ask(self.l2, "anvil_setCode", address, runtime_code(self.l2, name))
        if self.l2.eth.get_balance(BASE_TOKEN) < CREATED // 2:
            ask(self.l2, "anvil_setBalance", BASE_TOKEN, hex(CREATED))
        values = (request.to, request.value, request.data, request.gas_limit)
        paid = (request.gas_price, request.paid, request.refund_recipient)
        sender = contract(self.l2, "L1Sender", request.sender)
        return Web3.to_bytes(hexstr=sender.encode_abi("execute", [*values, *paid]))


def decode(event: EventData) -> Request:
    """Read a request from the diamond's NewPriorityRequest event."""
    asked = event["args"]["transaction"]
    return Request(
        id=event["args"]["txId"],
        tx_hash=HexBytes(event["args"]["txHash"]),
        sender=_address(asked["from"]),
        to=_address(asked["to"]),
        value=asked["value"],
        data=asked["data"],
        gas_limit=asked["gasLimit"],
        gas_price=asked["maxFeePerGas"],
        paid=asked["reserved"][0],
        refund_recipient=_address(asked["reserved"][1]),
    )


def _address(word: int) -> ChecksumAddress:
    return Web3.to_checksum_address(f"0x{word:040x}")


def outcome(delivery: Delivery) -> str:
    """Return a delivery's result, for the log."""
    done = "executed" if delivery.success else "used up without effect"
    return f"{done} in {delivery.tx_hash.to_0x_hex()}"


def main() -> None:
    """Deliver until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(description="Carry requests from L1 to the zkSync devnet.")
    parser.add_argument("--l1-rpc", required=True, metavar="URL")
    parser.add_argument("--l2-rpc", required=True, metavar="URL")
    parser.add_argument("--diamond", required=True, metavar="ADDRESS")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    Messenger(
        l1=connect(given.l1_rpc),
        l2=connect(given.l2_rpc),
        diamond=Web3.to_checksum_address(given.diamond),
    ).run(stop)


if __name__ == "__main__":
    main()
