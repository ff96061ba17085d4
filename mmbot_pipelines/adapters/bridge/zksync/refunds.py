"""What zkSync gives back of a claim's message: reads receipts of the L2.

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

from eth_utils.crypto import keccak

from mmbot_pipelines.adapters.evm import quorum
from mmbot_pipelines.adapters.rpc import decoding
from mmbot_pipelines.adapters.rpc.client import Poll, Rpc
from mmbot_pipelines.adapters.rpc.node import Answer, RpcError
from mmbot_pipelines.bridge.escrow_errors import PaidElsewhere
from mmbot_pipelines.bridge.ports.chains import Settlement
from mmbot_pipelines.core.errors import Failure
from mmbot_pipelines.core.money import Address, TxHash, Wei

_TWO_WORDS = 64  # bytes: the request's number, and the transaction's hash
_ETHER = "0x000000000000000000000000000000000000800a"
_REQUEST = (
    "0x"
    + keccak(
        text="NewPriorityRequest(uint256,bytes32,uint64,(uint256,uint256,uint256,uint256,uint256,"
        "uint256,uint256,uint256,uint256,uint256,uint256[4],bytes,bytes,uint256[],bytes,bytes),"
        "bytes[])"
    ).hex()
)
_MINT = "0x" + keccak(text="Mint(address,uint256)").hex()


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

    def read(poll: Poll) -> list[TxHash | None]:
        answers = zip(claims, poll.answers, strict=True)
        return [_asked_for(tx, answer, diamond) for tx, answer in answers]

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


def _asked_for(tx: TxHash, answer: Answer, diamond: Address) -> TxHash | None:
    for log in _logs(tx, answer) or ():
        topics, data = log.get("topics"), decoding.data(log.get("data"))
        is_request = isinstance(topics, list) and topics[:1] == [_REQUEST]
        if (
            is_request
            and decoding.address(log.get("address")) == diamond
            and len(data) >= _TWO_WORDS
        ):
            return TxHash("0x" + data[32:64].hex())
    return None


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
    """Sum what a receipt's logs say was minted to the wallet; None where there is no receipt."""
    logs = _logs(tx, answer)
    return None if logs is None else Wei(sum(_amount(log, wallet) for log in logs))


def _logs(tx: TxHash, answer: Answer) -> list[dict[str, object]] | None:
    """Return the logs of a transaction's receipt; None where there is no receipt."""
    if answer is None or isinstance(answer, RpcError):
        return None
    given = decoding.fields(answer)
    if decoding.hash32(given.get("transactionHash")) != tx.lower():
        raise decoding.InvalidResponse(f"a node answered a receipt that is not of {tx}")
    logs = given.get("logs")
    if not isinstance(logs, list):
        raise decoding.InvalidResponse(f"a node answered a receipt of {tx} without logs")
    return [decoding.fields(log) for log in logs]


def _amount(log: dict[str, object], wallet: Address) -> int:
    topics = log.get("topics")
    account = "0x" + wallet[2:].lower().rjust(64, "0")
    if not isinstance(topics, list) or [str(t).lower() for t in topics] != [_MINT, account]:
        return 0
    if decoding.address(log.get("address")).lower() != _ETHER:
        return 0
    return decoding.quantity(log.get("data"))
