"""Refunds of claims' messages on zkSync. Reads receipts of both chains.

A message of L1 is one transaction of the L2. What its value paid for and it did not use, the
bootloader mints to the refund recipient in that same transaction: the base token, a system
contract, logs `Mint(account, amount)`. So the receipt of the transaction in which the escrow
paid us has the refund of the claim that made it pay. A message that failed there refunds too,
in a transaction without a payment: the claim's receipt on L1 has its hash, in the diamond's
event.

Source: era-contracts, bootloader.yul (`mintEther`), L2BaseToken.sol and IMailbox.sol.
"""

from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import replace

from eth_abi.abi import encode
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from mmbot_pipelines.adapters.bridge.zksync.diamond import BASE_COST, GAS_PER_PUBDATA
from mmbot_pipelines.adapters.bridge.zksync.requests import Message
from mmbot_pipelines.adapters.evm import blocks, quorum
from mmbot_pipelines.adapters.evm.contracts import call_trusted_views, refused
from mmbot_pipelines.adapters.evm.delegation import designator
from mmbot_pipelines.adapters.evm.log_range import Log, receipt_logs
from mmbot_pipelines.adapters.rpc import decoding
from mmbot_pipelines.adapters.rpc.client import Poll, Rpc
from mmbot_pipelines.adapters.rpc.node import Answer, RpcCall, RpcError
from mmbot_pipelines.bridge.orders.escrow_errors import PaidElsewhere
from mmbot_pipelines.bridge.ports.chains import MessageEnd, Settlement
from mmbot_pipelines.core.errors import Failure
from mmbot_pipelines.core.money import Address, Gas, TxHash, Wei, shares

_ETHER = Address(to_checksum_address("0x000000000000000000000000000000000000800a"))
_MINT = keccak(text="Mint(address,uint256)")

_REQUEST_TYPES = ("address", "uint256", "bytes", "uint256", "uint256", "bytes[]", "address")
_REQUEST = keccak(text=f"requestL2Transaction({','.join(_REQUEST_TYPES)})")[:4]
_SOMEBODY = Address("0x" + "77" * 20)  # an account without code
_GAS_PRICE = 10**9  # wei per gas; a simulation has none

Numbers = Callable[[Sequence[Log]], list[int]]


def add(
    rpc: Rpc,
    paid: MutableMapping[int, Settlement | PaidElsewhere],
    wallets: Sequence[Address],
    numbers: Numbers,
) -> None:
    """Complete settlements, by order number, with what came back to our wallets.

    Orders that were paid in one transaction share its refund evenly, to the wei, however many of
    them are asked about. It is unknown where too few nodes show the same.
    numbers: reads which orders a transaction paid from its logs.
    """
    settled = {number: seen for number, seen in paid.items() if isinstance(seen, Settlement)}
    txs = list(dict.fromkeys(seen.tx for seen in settled.values()))
    if not txs:
        return
    shared = dict(zip(txs, _shared(rpc, txs, wallets, numbers), strict=True))
    for number, seen in settled.items():
        refunds = shared[seen.tx]
        paid[number] = replace(seen, refund=None if refunds is None else refunds.get(number))


def go_to_alias(
    l1: Rpc, *, diamond: Address, registry: Address, escrow: Address, claim_gas_limit: Gas
) -> bool:
    """Return whether the diamond refunds an account that is delegated (EIP-7702) at its alias.

    Nobody has a key of the alias. Older diamonds do so with whatever has code on L1, newer ones
    spare delegated accounts. The hash that a request returns covers whom it refunds: the same
    request is simulated for an account with code and without.

    Raises:
        RpcRefused: no node simulates it.
        RpcUnavailable, RpcDisagrees: see `quorum.read`.
    """
    block = quorum.now(l1)
    price = BASE_COST.encode(_GAS_PRICE, claim_gas_limit, GAS_PER_PUBDATA)
    (cost,) = call_trusted_views(l1, [(diamond, price)], block)
    if isinstance(cost, RpcError):
        raise refused(cost, f"{BASE_COST.name} of zkSync's diamond {diamond}")
    given = (escrow, 0, b"", claim_gas_limit, GAS_PER_PUBDATA, (), _SOMEBODY)
    request = {
        "from": registry,
        "to": diamond,
        "value": hex(int.from_bytes(cost)),
        "data": "0x" + (_REQUEST + encode(_REQUEST_TYPES, given)).hex(),
    }
    pays = {registry: {"balance": hex(10**20)}}
    with_code = {_SOMEBODY: {"code": "0x" + designator(registry).hex()}}
    asked: list[RpcCall] = [
        ("eth_call", (request, blocks.tag(block), pays | more)) for more in ({}, with_code)
    ]
    hashes = quorum.read(l1, asked, block)
    for answer in hashes:
        if isinstance(answer, RpcError):
            raise refused(answer, f"whom zkSync's diamond {diamond} refunds")
    return len({decoding.hash32(answer) for answer in hashes}) > 1


def ends(
    rpc: Rpc, messages: Sequence[Message], wallets: Sequence[Address], *, newest: int
) -> list[MessageEnd | None]:
    """Return how messages ended; None where one is in no block up to `newest`, or unknown.

    Raises:
        RpcUnavailable: too few nodes answered.
    """
    if not messages:
        return []

    def read(poll: Poll) -> list[MessageEnd | None]:
        answers = zip(messages, poll.answers, strict=True)
        return [_end(message, answer, wallets, newest) for message, answer in answers]

    asked = [("eth_getTransactionReceipt", (message.tx,)) for message in messages]
    return quorum.each(rpc, asked, read)


def _end(
    message: Message, answer: Answer, wallets: Sequence[Address], newest: int
) -> MessageEnd | None:
    minted = _minted(message.tx, answer, wallets)
    if minted is None:
        return None
    given = decoding.fields(answer)
    if decoding.quantity(given.get("blockNumber")) > newest:
        return None
    failed = decoding.quantity(given.get("status")) != 1
    return MessageEnd(number=message.number, failed=failed, refund=minted)


def _shared(
    rpc: Rpc, txs: Sequence[TxHash], wallets: Sequence[Address], numbers: Numbers
) -> list[dict[int, Wei] | None]:
    """Return each transaction's refund by the orders that it paid, as the quorum shows them."""

    def read(poll: Poll) -> list[dict[int, Wei] | None]:
        answers = zip(txs, poll.answers, strict=True)
        return [_shares(tx, answer, wallets, numbers) for tx, answer in answers]

    try:
        return quorum.each(rpc, [("eth_getTransactionReceipt", (tx,)) for tx in txs], read)
    except Failure:
        return [None] * len(txs)  # no payment waits for its refund: it is read again later


def _shares(
    tx: TxHash, answer: Answer, wallets: Sequence[Address], numbers: Numbers
) -> dict[int, Wei] | None:
    logs = _logs(tx, answer)
    if not logs or not (paid := numbers(logs)):
        return None
    minted = sum(_amount(log, wallets) for log in logs)
    return dict(zip(paid, shares(minted, len(paid)), strict=True))


def _minted(tx: TxHash, answer: Answer, wallets: Sequence[Address]) -> Wei | None:
    """Sum what a transaction minted to our wallets, in wei; None where there is no receipt."""
    logs = _logs(tx, answer)
    return None if logs is None else Wei(sum(_amount(log, wallets) for log in logs))


def _logs(tx: TxHash, answer: Answer) -> list[Log] | None:
    """Return the logs of a transaction's receipt; None where there is no receipt."""
    if answer is None or isinstance(answer, RpcError):
        return None
    return receipt_logs(decoding.fields(answer), tx)


def _amount(log: Log, wallets: Sequence[Address]) -> int:
    minted = [(_MINT, bytes.fromhex(wallet[2:]).rjust(32, b"\0")) for wallet in wallets]
    if log.address != _ETHER or log.topics not in minted:
        return 0
    return decoding.quantity("0x" + log.data.hex())
