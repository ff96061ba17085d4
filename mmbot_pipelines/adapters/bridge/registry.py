"""The PaymentRegistry on L1, of either ABI: the port `bridge.ports.Registry`. Reads chain."""

from collections.abc import Container, Sequence

from mmbot_pipelines.adapters.bridge.registry_abi import (
    ABIS,
    V1,
    LoggedTransfer,
    RegistryAbi,
)
from mmbot_pipelines.adapters.evm import blocks, quorum
from mmbot_pipelines.adapters.evm.contracts import (
    Function,
    call_trusted_views,
    call_views,
    refused,
)
from mmbot_pipelines.adapters.evm.log_range import Log, LogFilter
from mmbot_pipelines.adapters.evm.logs import LogScanner
from mmbot_pipelines.adapters.rpc.client import Rpc
from mmbot_pipelines.adapters.rpc.node import RpcError
from mmbot_pipelines.bridge.audit.facts import RegistryTransfer
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.orders.origins import ORIGINS
from mmbot_pipelines.bridge.ports.chains import Payment
from mmbot_pipelines.core.errors import Malformed, RegistryAbiMismatch
from mmbot_pipelines.core.money import Address, TxHash
from mmbot_pipelines.core.outbox import Call, Event

MARKET_MAKER = Function("marketMaker", (), ("address",))
OWNER = Function("owner", (), ("address",))

# Blocks that one search reads at most, a week of Ethereum: some hundred questions of a node
# that gives a few hundred blocks at once, a few of one that gives ten thousand.
_SEARCHED_AT_ONCE = 50_000

# By how many bytes `transfers` returns, which every version has under one selector.
_BY_LENGTH = {32 * len(abi.transfers.gives): abi for abi in ABIS.values()}


def abi_of(rpc: Rpc, address: Address) -> str | None:
    """Return the version of a registry's ABI, "v1" or "v2"; None where it is no registry.

    Asks the newest block for `transfers(0)`.

    Raises:
        RpcRefused, RpcUnavailable: no node answered.
    """
    (answer,) = call_views(rpc, [(address, V1.transfers.encode(bytes(32)))], "latest")
    if isinstance(answer, RpcError):
        raise refused(answer, f"transfers of the registry {address}")
    found = _BY_LENGTH.get(len(answer))
    return found.name if found else None


def disagreement(address: Address, found: str | None, wanted: str) -> str:
    """Return one line: the registry is not of the ABI that is set, and what fixes that."""
    if found:
        return (
            f"MMBOT_L1_REGISTRY_ABI is {wanted}, but {address} answers as ABI {found}: set "
            f"MMBOT_L1_REGISTRY_ABI={found}, or MMBOT_L1_REGISTRY_ADDRESS to the registry that "
            "the escrows obey"
        )
    return (
        f"{address} does not answer as a PaymentRegistry: set MMBOT_L1_REGISTRY_ADDRESS to the "
        "registry that the escrows obey"
    )


class PaymentRegistry:
    """One registry. Threads may share it."""

    def __init__(
        self, rpc: Rpc, address: Address, *, start_block: int, abi: RegistryAbi = V1
    ) -> None:
        """Describe the registry; `start_block` is the first that can hold a transfer of ours."""
        self.address = address
        self.abi = abi
        self._rpc = rpc
        self._start_block = start_block
        self._logs = LogScanner(rpc)

    def transfer(self, order: Order) -> Call:
        """Build the call that pays the recipient."""
        data = self.abi.transfer.encode(
            order.number, self.abi.recipient(order), self.abi.chain(order.origin)
        )
        return Call(to=self.address, data=data, value=order.amount)

    def used(self, orders: Sequence[Order]) -> list[bool]:
        """Return whether the registry has each order marked as paid, at the newest block."""
        calls = [(self.address, self.abi.transfers.encode(self.abi.key(order))) for order in orders]
        answers = call_trusted_views(self._rpc, calls, quorum.now(self._rpc))
        return [self._is_used(o, answer) for o, answer in zip(orders, answers, strict=True)]

    def payments(self, events: Sequence[Event], orders: Sequence[Order]) -> list[Payment]:
        """Return whom the Transfer events of one transaction show as paid, order by order."""
        ours = [event for event in events if event.address == self.address]
        logged = [found for event in ours if (found := self._logged(event)) is not None]
        keys = {self.abi.key_of(one) for one in logged}
        numbers = {(one.number, one.chain) for one in logged}
        return [self._payment(order, keys, numbers) for order in orders]

    def paid_in(self, order: Order, *, below: int | None = None) -> TxHash | int | None:
        """Return the transaction whose Transfer event paid the order; newest blocks first.

        After a bounded number of blocks, return the lowest one searched, to go on `below` it.
        The event carries order id, recipient, amount and chain: all that the key is of.
        """
        wanted = LogFilter(
            address=self.address, topics=(self.abi.transferred, order.number.to_bytes(32, "big"))
        )
        newest = blocks.header(self._rpc, "latest").block.number
        head = newest if below is None else min(newest, below - 1)
        first = max(self._start_block, head - _SEARCHED_AT_ONCE + 1)
        for logs in self._logs.backwards(wanted, first, head):
            for log in logs:
                if self._pays(log, order):
                    return log.tx
        return first if first > self._start_block else None

    def transfers(self, first: int, last: int) -> list[RegistryTransfer]:
        """Read the transfers in these blocks, of all origins; one unknown has its chain's id."""
        names = {self.abi.chain(origin): origin for origin in ORIGINS}
        found = []
        while first <= last:
            logs, end = self._logs.scan(
                LogFilter(address=self.address, topics=(self.abi.transferred,)), first, last
            )
            for one in filter(None, map(self._logged, logs)):
                name = names.get(one.chain, f"chain {one.chain}")
                found.append(
                    RegistryTransfer(
                        key=f"{name}:{one.number}", recipient=one.recipient, amount=one.amount
                    )
                )
            first = end.number + 1
        return found

    def accepts(self, wallets: Sequence[Address]) -> list[bool]:
        """Return which wallets may send it transfers and claims: its owner, its market maker."""
        views = (MARKET_MAKER, OWNER)
        calls = [(self.address, view.encode()) for view in views]
        answers = call_trusted_views(self._rpc, calls, quorum.now(self._rpc))
        accepted = set()
        for view, answer in zip(views, answers, strict=True):
            if isinstance(answer, RpcError):
                raise refused(answer, f"{view.name} of the registry {self.address}")
            (address,) = view.decode(answer)
            accepted.add(str(address).lower())
        return [wallet.lower() in accepted for wallet in wallets]

    def _is_used(self, order: Order, answer: bytes | RpcError) -> bool:
        if isinstance(answer, RpcError):
            raise refused(answer, f"{order.key}: transfers of the registry {self.address}")
        found = _BY_LENGTH.get(len(answer))
        if found is not self.abi:
            name = found.name if found else None
            raise RegistryAbiMismatch(disagreement(self.address, name, self.abi.name))
        return self.abi.is_used(answer)

    def _pays(self, log: Log, order: Order) -> bool:
        logged = self._logged(log)
        return logged is not None and self.abi.key_of(logged) == self.abi.key(order)

    def _logged(self, log: Log | Event) -> LoggedTransfer | None:
        if log.topics[:1] != (self.abi.transferred,):
            return None
        try:
            logged = self.abi.logged(log)
        except Malformed:
            return None
        return logged if logged.used else None

    def _payment(
        self, order: Order, keys: Container[bytes], numbers: Container[tuple[int, int]]
    ) -> Payment:
        if self.abi.key(order) in keys:
            return Payment.ORDER
        number = order.number, self.abi.chain(order.origin)
        return Payment.OTHER if number in numbers else Payment.NONE
