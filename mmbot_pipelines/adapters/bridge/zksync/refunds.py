"""Refunds of claims' messages on zkSync. Reads receipts of both chains.

A message of L1 is one transaction of the L2. What its value paid for and it did not use, the
bootloader mints to the refund recipient in that same transaction: the base token, a system
contract, logs `Mint(account, amount)`. So the receipt of the transaction in which the escrow
paid us has the refund of the claim that made it pay. A message that failed there refunds too,
in a transaction without a payment: the claim's receipt on L1 has its hash, in the diamond's
event.

Source: era-contracts, bootloader.yul (`mintEther`), L2BaseToken.sol and IMailbox.sol.
"""

from collections.abc import MutableMapping, Sequence
from dataclasses import replace

from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from mmbot_pipelines.adapters.bridge.zksync.diamond import ABI
from mmbot_pipelines.adapters.evm import quorum
from mmbot_pipelines.adapters.evm.log_range import Log, receipt_logs
from mmbot_pipelines.adapters.rpc import decoding
from mmbot_pipelines.adapters.rpc.client import Poll, Rpc
from mmbot_pipelines.adapters.rpc.node import Answer, RpcError
from mmbot_pipelines.bridge.escrow_errors import PaidElsewhere
from mmbot_pipelines.bridge.ports.chains import Settlement
from mmbot_pipelines.core.errors import Failure
from mmbot_pipelines.core.money import Address, TxHash, Wei

_ETHER = Address(to_checksum_address("0x000000000000000000000000000000000000800a"))
_MINT = keccak(text="Mint(address,uint256)")


def add(rpc: Rpc, paid: MutableMapping[int, Settlement | PaidElsewhere], wallet: Address) -> None:
    """Complete settlements, by order number, with what came back to the wallet.

    Orders that were paid in one transaction share its refund: the lowest number has it. It is
    unknown where too few nodes show the same.
    """
    first: dict[TxHash, int] = {}
    for number, seen in sorted(paid.items()):
        if isinstance(seen, Settlement):
            first.setdefault(seen.tx, number)
            paid[number] = replace(seen, refund=Wei(0))
    if not first:
        return
    minted = _minted_in(rpc, list(first), wallet)
    for number, refund in zip(first.values(), minted, strict=True):
        seen = paid[number]
        if isinstance(seen, Settlement):
            paid[number] = replace(seen, refund=refund)


def messages(l1: Rpc, claims: Sequence[TxHash], diamond: Address) -> list[TxHash | None]:
    """Return the transaction on the L2 that each mined claim has asked for; None: unknown.

    Raises:
        RpcUnavailable: too few nodes answered.
    """

    from mmbot_pipelines.adapters.evm.web3_contracts import contract, decoded  # noqa: PLC0415

    request = contract(l1, diamond, ABI).events.NewPriorityRequest()

    def asked_for(tx: TxHash, answer: Answer) -> TxHash | None:
        found = decoded(request, _logs(tx, answer) or ())
        return TxHash("0x" + found[0]["txHash"].hex()) if found else None

    def read(poll: Poll) -> list[TxHash | None]:
        return list(map(asked_for, claims, poll.answers))

    return quorum.each(l1, [("eth_getTransactionReceipt", (tx,)) for tx in claims], read)


def of_failed(
    rpc: Rpc, txs: Sequence[TxHash | None], wallet: Address, *, newest: int
) -> list[Wei | None]:
    """Return what transactions of the L2 gave back to the wallet where they failed.

    0 where one succeeded; None where it is in no block up to `newest`, or unknown.

    Raises:
        RpcUnavailable: too few nodes answered.
    """
    known = [tx for tx in txs if tx is not None]
    if not known:
        return [None] * len(txs)

    def read(poll: Poll) -> list[Wei | None]:
        answers = zip(known, poll.answers, strict=True)
        return [_back(tx, answer, wallet, newest) for tx, answer in answers]

    asked = [("eth_getTransactionReceipt", (tx,)) for tx in known]
    found = dict(zip(known, quorum.each(rpc, asked, read), strict=True))
    return [None if tx is None else found[tx] for tx in txs]


def _back(tx: TxHash, answer: Answer, wallet: Address, newest: int) -> Wei | None:
    minted = _minted(tx, answer, wallet)
    if minted is None:
        return None
    given = decoding.fields(answer)
    if decoding.quantity(given.get("blockNumber")) > newest:
        return None
    return Wei(0) if decoding.quantity(given.get("status")) == 1 else minted


def _minted_in(rpc: Rpc, txs: Sequence[TxHash], wallet: Address) -> list[Wei | None]:
    """Return what each transaction minted to the wallet, as the quorum shows it; None: unknown."""

    def read(poll: Poll) -> list[Wei | None]:
        answers = zip(txs, poll.answers, strict=True)
        return [_minted(tx, answer, wallet) for tx, answer in answers]

    try:
        return quorum.each(rpc, [("eth_getTransactionReceipt", (tx,)) for tx in txs], read)
    except Failure:
        return [None] * len(txs)  # no payment waits for its refund: it is read again later


def _minted(tx: TxHash, answer: Answer, wallet: Address) -> Wei | None:
    """Sum what a transaction minted to the wallet, in wei; None where there is no receipt."""
    logs = _logs(tx, answer)
    return None if logs is None else Wei(sum(_amount(log, wallet) for log in logs))


def _logs(tx: TxHash, answer: Answer) -> list[Log] | None:
    """Return the logs of a transaction's receipt; None where there is no receipt."""
    if answer is None or isinstance(answer, RpcError):
        return None
    return receipt_logs(decoding.fields(answer), tx)


def _amount(log: Log, wallet: Address) -> int:
    account = bytes.fromhex(wallet[2:]).rjust(32, b"\0")
    if log.address != _ETHER or log.topics != (_MINT, account):
        return 0
    return decoding.quantity("0x" + log.data.hex())
