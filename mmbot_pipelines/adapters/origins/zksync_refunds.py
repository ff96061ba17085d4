"""What zkSync gives back of a claim's message: reads receipts of the L2.

A message of L1 is one transaction of the L2. What its value paid for and it did not use, the
bootloader mints to the refund recipient in that same transaction: the base token, a system
contract, logs `Mint(account, amount)`. So the receipt of the transaction in which the escrow
paid us has the refund of the claim that made it pay. A message that failed there refunds too,
in a transaction without a payment: that one is not looked for.

Source: era-contracts, bootloader.yul (`mintEther`) and L2BaseToken.sol.
"""

from collections.abc import Iterable, MutableMapping
from dataclasses import replace

from eth_utils.crypto import keccak

from mmbot_pipelines.adapters.ethereum import quorum, wire
from mmbot_pipelines.adapters.ethereum.node import Answer, RpcError
from mmbot_pipelines.adapters.ethereum.rpc import Poll, Rpc
from mmbot_pipelines.bridge.chain_ports import Settlement
from mmbot_pipelines.bridge.escrow_faults import PaidElsewhere
from mmbot_pipelines.core.errors import Failure
from mmbot_pipelines.core.money import Address, TxHash, Wei

_ETHER = "0x000000000000000000000000000000000000800a"
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
    for (_, number), refund in zip(first.items(), _minted_in(rpc, first, wallet), strict=True):
        seen = paid[number]
        if isinstance(seen, Settlement):
            paid[number] = replace(seen, refund=refund)


def _minted_in(rpc: Rpc, txs: Iterable[TxHash], wallet: Address) -> list[Wei | None]:
    """Return what each transaction minted to the wallet, as the quorum shows it; None: unknown."""
    txs = list(txs)

    def read(poll: Poll) -> list[Wei | None]:
        answers = zip(txs, poll.answers, strict=True)
        return [_minted(tx, answer, wallet) for tx, answer in answers]

    try:
        return quorum.each(rpc, [("eth_getTransactionReceipt", (tx,)) for tx in txs], read)
    except Failure:
        return [None] * len(txs)  # no payment waits for its refund: it is read again later


def _minted(tx: TxHash, answer: Answer, wallet: Address) -> Wei | None:
    """Sum what a receipt's logs say was minted to the wallet; None where there is no receipt."""
    if answer is None or isinstance(answer, RpcError):
        return None
    given = wire.fields(answer)
    if wire.hash32(given.get("transactionHash")) != tx.lower():
        raise wire.BadAnswer(f"a node answered a receipt that is not of {tx}")
    logs = given.get("logs")
    if not isinstance(logs, list):
        raise wire.BadAnswer(f"a node answered a receipt of {tx} without logs")
    return Wei(sum(_amount(wire.fields(log), wallet) for log in logs))


def _amount(log: dict[str, object], wallet: Address) -> int:
    topics = log.get("topics")
    account = "0x" + wallet[2:].lower().rjust(64, "0")
    if not isinstance(topics, list) or [str(t).lower() for t in topics] != [_MINT, account]:
        return 0
    if wire.address(log.get("address")).lower() != _ETHER:
        return 0
    return wire.quantity(log.get("data"))
