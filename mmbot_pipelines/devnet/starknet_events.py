"""`starknet_getEvents`: filters, pages and continuation tokens."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from mmbot_pipelines.devnet import starknet_answers as answers
from mmbot_pipelines.devnet import starknet_params as read
from mmbot_pipelines.devnet.starknet_chain import Block, BlockId, Chain
from mmbot_pipelines.devnet.starknet_errors import RpcError, invalid_params
from mmbot_pipelines.devnet.starknet_execution import Event
from mmbot_pipelines.devnet.starknet_felt import felt

_TOKEN = re.compile(r"([0-9]{1,18})-([0-9]{1,18})")  # block, and index of the event in it
FIRST, NEWEST = BlockId(number=0), BlockId(tag="pre_confirmed")


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """EVENT_FILTER with RESULT_PAGE_REQUEST."""

    chunk_size: int
    from_block: BlockId = FIRST
    to_block: BlockId = NEWEST
    addresses: frozenset[int] = frozenset()  # empty: any
    keys: tuple[frozenset[int], ...] = ()  # by position; an empty set: any
    token: str | None = None

    def matches(self, event: Event) -> bool:
        """Tell whether the filter lets the event through."""
        if self.addresses and event.address not in self.addresses:
            return False
        present = (*event.keys, *(None for _ in self.keys))
        return all(
            not allowed or key in allowed for allowed, key in zip(self.keys, present, strict=False)
        )


def event_filter(value: Any) -> EventFilter:
    """Read the filter of a request."""
    optional = frozenset({"from_block", "to_block", "address", "keys", "continuation_token"})
    given = read.members(value, {"chunk_size"}, optional)
    address = given.get("address", [])
    if (chunk_size := read.natural(given["chunk_size"])) == 0:
        raise invalid_params("chunk_size must be at least 1")
    token = given.get("continuation_token")
    if not isinstance(token, str) and "continuation_token" in given:
        raise invalid_params("continuation_token must be a string")
    keys = read.list_of(read.list_of(read.felt))(given.get("keys", []))
    return EventFilter(
        chunk_size=chunk_size,
        from_block=read.block_id(given["from_block"]) if "from_block" in given else FIRST,
        to_block=read.block_id(given["to_block"]) if "to_block" in given else NEWEST,
        addresses=frozenset(
            read.list_of(read.felt)(address) if isinstance(address, list) else [read.felt(address)]
        ),
        keys=tuple(frozenset(allowed) for allowed in keys),
        token=token,
    )


def get_events(
    chain: Chain, wanted: EventFilter, *, max_chunk_size: int, max_keys: int
) -> dict[str, Any]:
    """Return EVENTS_CHUNK: a page of events, and the token of the next page if there is one.

    Raises:
        RpcError: PAGE_SIZE_TOO_BIG, TOO_MANY_KEYS_IN_FILTER, BLOCK_NOT_FOUND for an
            unknown hash, INVALID_CONTINUATION_TOKEN.
    """
    if wanted.chunk_size > max_chunk_size:
        raise RpcError("PAGE_SIZE_TOO_BIG")
    if len(wanted.keys) > max_keys:
        raise RpcError("TOO_MANY_KEYS_IN_FILTER")
    first, last = _height(chain, wanted.from_block), _height(chain, wanted.to_block)
    # A number above the newest sealed block asks for nothing there: only the tag
    # `pre_confirmed` reaches the block being built.
    if wanted.to_block.number is not None:
        last = min(last, chain.latest.number)
    start, skip = _position(wanted.token, first, last)
    blocks = [*chain.sealed, chain.building][start : last + 1]
    found = list(islice(_matching(blocks, wanted, skip), wanted.chunk_size + 1))
    answer: dict[str, Any] = {"events": [event for _, event in found[: wanted.chunk_size]]}
    if len(found) > wanted.chunk_size:
        answer["continuation_token"] = found[wanted.chunk_size][0]
    return answer


def _height(chain: Chain, block_id: BlockId) -> int:
    return chain.block(block_id).number if block_id.number is None else block_id.number


def _position(token: str | None, first: int, last: int) -> tuple[int, int]:
    """Return block and event index where the page begins."""
    if token is None:
        return first, 0
    told = _TOKEN.fullmatch(token)
    if told is None or not first <= int(told[1]) <= last:
        raise RpcError("INVALID_CONTINUATION_TOKEN")
    return int(told[1]), int(told[2])


def _matching(
    blocks: Sequence[Block], wanted: EventFilter, skip: int
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the events of the blocks, each with the token of a page that begins with it."""
    for depth, block in enumerate(blocks):
        position = -1
        for index, executed in enumerate(block.transactions):
            for event_index, event in enumerate(executed.events):
                position += 1
                if (depth == 0 and position < skip) or not wanted.matches(event):
                    continue
                yield (
                    f"{block.number}-{position}",
                    answers.event(event)
                    | answers.place(block)
                    | {
                        "transaction_hash": felt(executed.hash),
                        "transaction_index": index,
                        "event_index": event_index,
                    },
                )
