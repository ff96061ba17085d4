"""Events of the Escrow in bounded ranges of blocks (starknet_getEvents)."""

from collections.abc import Sequence

from starknet_py.net.client_models import EmittedEvent

from mmbot_pipelines.adapters.bridge.starknet.escrow import Event
from mmbot_pipelines.adapters.evm.quorum import RpcDisagrees
from mmbot_pipelines.adapters.rpc.health import NodeFaultKind
from mmbot_pipelines.adapters.rpc.node import NodeFault, RpcError
from mmbot_pipelines.adapters.starknet.client import StarknetRpc
from mmbot_pipelines.adapters.starknet.node import BLOCK_NOT_FOUND, StarknetNode, word
from mmbot_pipelines.core.errors import RpcUnavailable
from mmbot_pipelines.core.money import TxHash
from mmbot_pipelines.core.outbox import Block

# Stands where a block's hash would, as long as the block is being built.
UNSEALED = "pre_confirmed"

_MAX_BLOCKS = 5_000  # of one range
_PAGE = 500  # events asked for at once; no node allows less
_MAX_PAGES = 1_000  # of one range
_READINGS = 3  # of a range that a reorg tears


_Scanned = tuple[list[Event], Block]
_Shown = tuple[list[list[Event]], Block]


class ReorgDuringRead(RpcUnavailable):
    """Starknet changed its blocks while they were read, again and again."""


class EscrowEvents:
    """Reads one kind of events of one contract."""

    def __init__(self, escrow: int, kind: int) -> None:
        self._escrow = escrow
        self._kind = kind

    async def scan(self, node: StarknetNode, first: int, last: int) -> tuple[list[Event], Block]:
        """Read sealed blocks from `first` on; return their events and the last block covered.

        That block comes before `last` where the range is too large. All events are of the
        one chain that ends in it.

        Raises:
            ReorgDuringRead: the blocks were replaced at every reading.
            NodeFault: the node is behind, or answers what was not asked for.
        """
        newest = await node.newest()
        if newest.number < last:
            raise NodeFault(f"is at block {newest.number}, behind {last}", NodeFaultKind.BEHIND)
        end = min(last, first + _MAX_BLOCKS - 1)
        for _ in range(_READINGS):
            block = newest if newest.number == end else await node.block(end)
            events = await self.within(node, first, block)
            newest = await node.newest()
            after = newest if newest.number == end else await node.block(end)
            if after == block:
                return events, block
        raise ReorgDuringRead(
            f"starknet replaced block {end} while events up to it were read: "
            "they are read again at the next tick"
        )

    async def within(self, node: StarknetNode, first: int, last: Block) -> list[Event]:
        """Read the events of sealed blocks, up to `last`."""
        events = await self._pages(node, first, last.number)
        for event in events:
            in_range = first <= event.block.number < last.number or event.block == last
            if not in_range or event.block.hash == UNSEALED:
                raise NodeFault(f"answered an event of {event.tx} that was not asked for")
        return events

    async def behind(self, node: StarknetNode, sealed: Block) -> list[Event]:
        """Read the events of all blocks behind `sealed`, up to the one that is being built."""
        first = sealed.number + 1
        try:
            events = await self._pages(node, first, "pre_confirmed")
        except RpcError as e:
            # Some nodes refuse a range that begins behind their newest block.
            if e.code == BLOCK_NOT_FOUND:
                return []
            raise
        if not all(first <= event.block.number < first + _MAX_BLOCKS for event in events):
            raise NodeFault("answered events of blocks that were not asked for")
        return events

    async def _pages(self, node: StarknetNode, first: int, last: int | str) -> list[Event]:
        events: list[Event] = []
        token: str | None = None
        for _ in range(_MAX_PAGES):
            page = await node.asked(
                node.client.get_events(
                    address=self._escrow,
                    keys=[[self._kind]],
                    from_block_number=first,
                    to_block_number=last,  # type: ignore[arg-type]
                    chunk_size=_PAGE,
                    continuation_token=token,
                )
            )
            events += self._read(page.events, first)
            if page.continuation_token is None:
                return events
            if page.continuation_token == token:
                break
            token = page.continuation_token
        raise NodeFault("answered pages of events without end")

    def _read(self, emitted: Sequence[EmittedEvent], first: int) -> list[Event]:
        """Refuse events that were not asked for: money is paid on their word."""
        for one in emitted:
            placed = one.block_number is not None or one.block_hash is None
            if one.from_address != self._escrow or one.keys[:1] != [self._kind] or not placed:
                raise NodeFault("answered an event that was not asked for")
        return [
            Event(
                keys=tuple(one.keys),
                data=tuple(one.data),
                block=Block(
                    first if one.block_number is None else one.block_number,
                    UNSEALED if one.block_hash is None else word(one.block_hash),
                ),
                tx=TxHash(word(one.transaction_hash)),
                index=one.event_index,
            )
            for one in emitted
        ]


def witnessed_events(
    rpc: StarknetRpc, wanted: EscrowEvents, first: int, last: int
) -> tuple[list[list[Event]], Block]:
    """Read events at as many nodes as the quorum has; return what each shows, and the last block.

    All of them have that block. Each may hide events, or invent some.

    Raises:
        RpcDisagrees: they have different blocks.
        ReorgDuringRead, RpcRefused, RpcUnavailable: see `EscrowEvents.scan`.
    """

    def alike(reported: Sequence[_Scanned], quorum: int) -> _Shown:
        ends = [block for _, block in reported]
        for end in ends:
            if ends.count(end) >= quorum:
                return [events for events, block in reported if block == end], end
        raise RpcDisagrees(f"nodes of starknet have different blocks {ends[0].number}")

    async def asked(node: StarknetNode) -> _Scanned:
        return await wanted.scan(node, first, last)

    return rpc.agreed(asked, alike)
