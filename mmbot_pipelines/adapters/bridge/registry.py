"""The PaymentRegistry on L1, ABI v1: the port `bridge.ports.Registry`. Reads chain."""

from collections.abc import Sequence

from eth_utils.crypto import keccak

from mmbot_pipelines.adapters.evm import blocks, quorum
from mmbot_pipelines.adapters.evm.contracts import (
    Function,
    call_trusted_views,
    call_views,
    decode_words,
    refused,
)
from mmbot_pipelines.adapters.evm.log_range import Log, LogFilter
from mmbot_pipelines.adapters.evm.logs import LogScanner
from mmbot_pipelines.adapters.rpc.client import Rpc
from mmbot_pipelines.adapters.rpc.node import RpcError
from mmbot_pipelines.bridge.order import Order
from mmbot_pipelines.bridge.origins import ORIGINS
from mmbot_pipelines.core.errors import Malformed, RegistryAbiMismatch
from mmbot_pipelines.core.money import Address, TxHash
from mmbot_pipelines.core.outbox import Call

TRANSFER = Function("transfer", ("uint256", "uint256", "uint8"))
TRANSFERS = Function("transfers", ("bytes32",), ("uint256", "uint256", "bool", "uint8"))
MARKET_MAKER = Function("marketMaker", (), ("address",))
OWNER = Function("owner", (), ("address",))

TRANSFERRED = keccak(text="Transfer(uint256,address,(uint256,uint256,bool,uint8))")
# Blocks that one search reads at most, a week of Ethereum: some hundred questions of a node
# that gives a few hundred blocks at once, a few of one that gives ten thousand.
_SEARCHED_AT_ONCE = 50_000
_TRANSFERRED_DATA = ("address", "uint256", "uint256", "bool", "uint8")


_ABIS = {128: "v1", 32: "v2"}  # by how many bytes `transfers` returns


def abi_of(rpc: Rpc, address: Address) -> str | None:
    """Return the version of a registry's ABI, "v1" or "v2"; None where it is no registry.

    Asks the newest block for `transfers(0)`, which every version has under one selector.

    Raises:
        RpcRefused, RpcUnavailable: no node answered.
    """
    (answer,) = call_views(rpc, [(address, TRANSFERS.encode(bytes(32)))], "latest")
    if isinstance(answer, RpcError):
        raise refused(answer, f"transfers of the registry {address}")
    return _ABIS.get(len(answer))


def disagreement(address: Address, found: str | None) -> str:
    """Return one line: the registry is not of ABI v1, and which setting fixes that."""
    what = f"answers as ABI {found}" if found else "does not answer as a PaymentRegistry"
    return (
        f"MMBOT_L1_REGISTRY_ABI is v1, but {address} {what}: set MMBOT_L1_REGISTRY_ADDRESS to "
        "the registry of ABI v1 that the escrows obey"
    )


class RegistryV1:
    """One registry. Threads may share it."""

    def __init__(self, rpc: Rpc, address: Address, *, start_block: int) -> None:
        """Describe the registry; `start_block` is the first that can hold a transfer of ours."""
        self.address = address
        self._rpc = rpc
        self._start_block = start_block
        self._logs = LogScanner(rpc)

    def transfer(self, order: Order) -> Call:
        """Build the call that pays the recipient."""
        data = TRANSFER.encode(order.number, int(order.recipient, 16), ORIGINS[order.origin])
        return Call(to=self.address, data=data, value=order.amount)

    def used(self, orders: Sequence[Order]) -> list[bool]:
        """Return whether the registry has each order marked as paid, at the newest block."""
        calls = [(self.address, TRANSFERS.encode(transfer_key(order))) for order in orders]
        answers = call_trusted_views(self._rpc, calls, quorum.now(self._rpc))
        return [self._is_used(o, answer) for o, answer in zip(orders, answers, strict=True)]

    def paid_in(self, order: Order, *, below: int | None = None) -> TxHash | int | None:
        """Return the transaction whose Transfer event paid the order; newest blocks first.

        After a bounded number of blocks, return the lowest one searched, to go on `below` it.
        The event carries order id, recipient, amount and chain: all that the key is of.
        """
        wanted = LogFilter(
            address=self.address, topics=(TRANSFERRED, order.number.to_bytes(32, "big"))
        )
        newest = blocks.header(self._rpc, "latest").block.number
        head = newest if below is None else min(newest, below - 1)
        first = max(self._start_block, head - _SEARCHED_AT_ONCE + 1)
        for logs in self._logs.backwards(wanted, first, head):
            for log in logs:
                if _pays(log, order):
                    return log.tx
        return first if first > self._start_block else None

    def accepts_wallet(self, wallet: Address) -> bool:
        """Return whether a wallet may send it transfers and claims: its owner, its market maker."""
        views = (MARKET_MAKER, OWNER)
        calls = [(self.address, view.encode()) for view in views]
        answers = call_trusted_views(self._rpc, calls, quorum.now(self._rpc))
        for view, answer in zip(views, answers, strict=True):
            if isinstance(answer, RpcError):
                raise refused(answer, f"{view.name} of the registry {self.address}")
            (address,) = view.decode(answer)
            if str(address).lower() == wallet.lower():
                return True
        return False

    def _is_used(self, order: Order, answer: bytes | RpcError) -> bool:
        if isinstance(answer, RpcError):
            raise refused(answer, f"{order.key}: transfers of the registry {self.address}")
        if _ABIS.get(len(answer)) != "v1":
            raise RegistryAbiMismatch(disagreement(self.address, _ABIS.get(len(answer))))
        _, _, used, _ = TRANSFERS.decode(answer)
        return bool(used)


def transfer_key(order: Order) -> bytes:
    """Return the key of an order's transfer: keccak of order id, recipient, amount, chain.

    Packed, 97 bytes. Source: PaymentRegistry, mapping `transfers`.
    """
    chain = ORIGINS[order.origin]
    return _key(order.number, int(order.recipient, 16), order.amount, chain)


def logged_transfer(log: Log) -> tuple[bytes, int, int]:
    """Return key, recipient and amount (wei) of the transfer that an event is of.

    Raises:
        Malformed: it is no Transfer event.
    """
    _, recipient, amount, _, chain = decode_words("Transfer", _TRANSFERRED_DATA, log.data)
    if len(log.topics) != 2:
        raise Malformed(f"Transfer: {len(log.topics)} topics instead of 2")
    key = _key(int.from_bytes(log.topics[1]), recipient, amount, chain)
    return key, recipient, amount


def _key(number: int, recipient: int, amount: int, chain: int) -> bytes:
    packed = b"".join(word.to_bytes(32, "big") for word in (number, recipient, amount))
    return keccak(packed + chain.to_bytes(1, "big"))


def _pays(log: Log, order: Order) -> bool:
    try:
        _, recipient, amount, used, chain = decode_words("Transfer", _TRANSFERRED_DATA, log.data)
    except Malformed:
        return False
    given = (recipient, amount, chain)
    return bool(used) and given == (
        int(order.recipient, 16),
        order.amount,
        ORIGINS[order.origin],
    )
