"""Events of the Escrow in bounded ranges of blocks (starknet_getEvents). Reads chain."""

from collections.abc import Sequence
from typing import Any

from mmbot_pipelines.adapters.bridge.starknet.escrow import Event
from mmbot_pipelines.adapters.evm.quorum import RpcDisagrees
from mmbot_pipelines.adapters.rpc.health import NodeFault, NodeFaultKind
from mmbot_pipelines.adapters.rpc.node import RpcError
from mmbot_pipelines.adapters.rpc.nodes import ReorgDuringRead
from mmbot_pipelines.adapters.starknet.client import StarknetRpc
from mmbot_pipelines.adapters.starknet.decoding import (
    felt,
    felts,
    listed,
    members,
    text,
    whole,
    word,
)
from mmbot_pipelines.adapters.starknet.node import BLOCK_NOT_FOUND, StarknetNode
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


class EscrowEvents:
    """Reads one kind of events of one contract."""

    def __init__(self, escrow: int, kind: int) -> None:
        self._escrow = escrow
        self._kind = kind

    def scan(self, node: StarknetNode, first: int, last: int) -> tuple[list[Event], Block]:
        """Read sealed blocks from `first` on; return their events and the last block covered.

        That block comes before `last` where the range is too large. All events are of the
        one chain that ends in it.

        Raises:
            ReorgDuringRead: the blocks were replaced at every reading.
            NodeFault: the node is behind, or answers what was not asked for.
        """
        newest = node.newest()
        if newest.number < last:
            raise NodeFault(f"is at block {newest.number}, behind {last}", NodeFaultKind.BEHIND)
        end = min(last, first + _MAX_BLOCKS - 1)
        for _ in range(_READINGS):
            block = newest if newest.number == end else node.block(end)
            events = self.within(node, first, block)
            newest = node.newest()
            after = newest if newest.number == end else node.block(end)
            if after == block:
                return events, block
        raise ReorgDuringRead(
            f"starknet replaced block {end} while events up to it were read: "
            "they are read again at the next tick"
        )

    def within(self, node: StarknetNode, first: int, last: Block) -> list[Event]:
        """Read the events of sealed blocks, up to `last`."""
        events = self._pages(node, first, last.number)
        for event in events:
            in_range = first <= event.block.number < last.number or event.block == last
            if not in_range or event.block.hash == UNSEALED:
                raise NodeFault(f"answered an event of {event.tx} that was not asked for")
        return events

    def behind(self, node: StarknetNode, sealed: Block) -> list[Event]:
        """Read the events of all blocks after `sealed`, up to the one that is being built."""
        first = sealed.number + 1
        try:
            events = self._pages(node, first, "pre_confirmed")
        except RpcError as e:
            # Some nodes refuse a range that begins behind their newest block.
            if e.code == BLOCK_NOT_FOUND:
                return []
            raise
        if not all(first <= event.block.number < first + _MAX_BLOCKS for event in events):
            raise NodeFault("answered events of blocks that were not asked for")
        return events

    def _pages(self, node: StarknetNode, first: int, last: int | str) -> list[Event]:
        events: list[Event] = []
        token: str | None = None
        for _ in range(_MAX_PAGES):
            wanted = {
                "address": hex(self._escrow),
                "keys": [[hex(self._kind)]],
                "from_block": {"block_number": first},
                "to_block": {"block_number": last} if isinstance(last, int) else last,
                "chunk_size": _PAGE,
            }
            if token is not None:
                wanted["continuation_token"] = token
            page = members(node.call("getEvents", filter=wanted), events=listed)
            events += [self._read(one, first) for one in page["events"]]
            given = page.get("continuation_token")
            if given is None:
                return events
            if given == token:
                break
            token = text(given)
        raise NodeFault("answered pages of events without end")

    def _read(self, emitted: Any, first: int) -> Event:
        """Read EMITTED_EVENT; refuse one that was not asked for: money is paid because of it."""
        one = members(
            emitted,
            from_address=felt,
            keys=felts,
            data=felts,
            transaction_hash=felt,
            event_index=whole,
        )
        number, block_hash = one.get("block_number"), one.get("block_hash")
        placed = number is not None or block_hash is None
        if one["from_address"] != self._escrow or one["keys"][:1] != [self._kind] or not placed:
            raise NodeFault("answered an event that was not asked for")
        return Event(
            keys=tuple(one["keys"]),
            data=tuple(one["data"]),
            block=Block(
                first if number is None else whole(number),
                UNSEALED if block_hash is None else word(felt(block_hash)),
            ),
            tx=TxHash(word(one["transaction_hash"])),
            index=one["event_index"],
        )


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

    def asked(node: StarknetNode) -> _Scanned:
        return wanted.scan(node, first, last)

    return rpc.agreed(asked, alike)
