"""Reads for decisions about money, from as many nodes as MMBOT_RPC_QUORUM asks for.

Honest nodes are rarely at the same block. So all are asked about the newest block that all
of them have, and each must show that very block, by its hash, before and after its answers.

Where the first nodes differ, the others are asked one by one, and the answer of a quorum
counts: one wrong node of three stops nothing. Reads chain.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from mmbot_pipelines.adapters.evm import blocks
from mmbot_pipelines.adapters.rpc import reverts
from mmbot_pipelines.adapters.rpc.client import Poll, Rpc
from mmbot_pipelines.adapters.rpc.node import Answer, RpcCall, RpcError
from mmbot_pipelines.core.errors import Failure, RpcUnavailable
from mmbot_pipelines.core.money import Wei
from mmbot_pipelines.core.outbox import Block, Receipt

T = TypeVar("T")


class RpcDisagrees(RpcUnavailable):
    """Nodes disagree about one block: no money is paid because of any of them."""


class BlockReplaced(RpcUnavailable):
    """A reorg replaced the block that was being read."""


@dataclass(slots=True)
class _Votes(Generic[T]):
    """The polls of one question, grouped by equal answers."""

    groups: list[tuple[T, list[Poll]]] = field(default_factory=list)
    unusable: list[tuple[Failure, Poll]] = field(default_factory=list)

    def add(self, poll: Poll, read: Callable[[Poll], T]) -> None:
        try:
            value = read(poll)
        except Failure as e:
            self.unusable.append((e, poll))
            return
        for known, polls in self.groups:
            if known == value:
                polls.append(poll)
                return
        self.groups.append((value, [poll]))

    def winner(self, quorum: int) -> tuple[T, list[Poll]] | None:
        return next((group for group in self.groups if len(group[1]) >= quorum), None)


def newest(rpc: Rpc, tag: str = "latest") -> Block:
    """Return the newest block that a quorum of nodes has.

    tag: "latest", "safe" or "finalized".

    Raises:
        RpcDisagrees: they have different blocks of one number.
        RpcUnavailable: too few nodes answered.
    """
    heads = usable(rpc, [blocks.header_call(tag)], lambda poll: _block(rpc, poll, tag))
    lowest = sorted(heads, key=lambda head: head.number, reverse=True)[rpc.quorum - 1]
    if all(head == lowest for head in heads):
        return lowest
    number = lowest.number
    rpc_call = [blocks.header_call(number)]
    return agreed(rpc, rpc_call, lambda poll: _block(rpc, poll, number), f"block {number}")


def now(rpc: Rpc) -> Block | str:
    """Return where to read a state: "latest" for one node, else a block that a quorum has."""
    return "latest" if rpc.quorum == 1 else newest(rpc)


def read(rpc: Rpc, rpc_calls: Sequence[RpcCall], block: Block | str) -> list[Answer]:
    """Ask about the state at a block; the questions name it by `blocks.tag`.

    Raises:
        RpcDisagrees: the nodes' answers differ.
        BlockReplaced: a node has another block in its place by now.
        RpcUnavailable: too few nodes answered, or have the block.
    """
    if isinstance(block, str):
        return rpc.poll(rpc_calls)[0].answers
    header_now = blocks.header_call(block.number)

    def parse(poll: Poll) -> list[object]:
        for at in (0, -1):
            _still(rpc, poll, _block(rpc, poll, block.number, at), block)
        return [_comparable(answer) for answer in poll.answers[1:-1]]

    rpc_calls = [header_now, *rpc_calls, header_now]
    _, polls = _agreed(rpc, rpc_calls, parse, f"the state at block {block.number}")
    return polls[0].answers[1:-1]


def base_fee(rpc: Rpc, block: Block) -> Wei | None:
    """Return the base fee of a block, in wei per gas; None before EIP-1559.

    Raises:
        RpcDisagrees: the nodes return different ones.
        BlockReplaced: a node has another block in its place by now.
        RpcUnavailable: too few nodes answered, or have the block.
    """

    def parse(poll: Poll) -> Wei | None:
        header = blocks.parse_header(poll.answers[0], block.number, rpc.chain)
        _still(rpc, poll, header.block, block)
        return header.base_fee

    rpc_call = [blocks.header_call(block.number)]
    return agreed(rpc, rpc_call, parse, f"the base fee of block {block.number}")


def receipts(
    rpc: Rpc,
    rpc_calls: Sequence[RpcCall],
    read: Callable[[Poll], list[Receipt | None]],
    *,
    min_height: int,
) -> list[Receipt | None]:
    """Return the receipts that a quorum of nodes has.

    None is no proof: a transaction is not mined, or too few nodes have come to its block.
    min_height: nodes that are behind this block are not asked.

    Raises:
        RpcDisagrees: they differ, or a node that has the block has no receipt.
    """

    def enough(polls: Sequence[Poll]) -> bool:
        found = _usable(polls, read)
        return len(found) >= rpc.quorum and all(
            _is_decided(column, rpc.quorum) for column in _columns(found)
        )

    polls = rpc.poll(rpc_calls, enough=enough, min_height=min_height)
    found = _usable(polls, read)
    if len(found) < rpc.quorum:
        for poll in polls:
            read(poll)  # raises what is wrong with one of them
    return [_receipt(rpc, column) for column in _columns(found)]


def each(rpc: Rpc, rpc_calls: Sequence[RpcCall], read: Callable[[Poll], list[T]]) -> list[T | None]:
    """Return the answers that a quorum of nodes gives, one by one; None where there is none.

    read: raises what is wrong with a node's answers; they count for nothing then.

    Raises:
        Failure: what is wrong with an answer, where too few are usable.
        RpcUnavailable: too few nodes answered.
    """

    def enough(polls: Sequence[Poll]) -> bool:
        found = _usable(polls, read)
        return len(found) >= rpc.quorum and all(
            _is_decided(column, rpc.quorum) for column in _columns(found)
        )

    polls = rpc.poll(rpc_calls, enough=enough)
    found = _usable(polls, read)
    if len(found) < rpc.quorum:
        raise _collect(polls, read).unusable[0][0]
    columns = [[value for _, value in column] for column in _columns(found)]
    return [next((v for v in c if c.count(v) >= rpc.quorum), None) for c in columns]


_Seen = tuple[Poll, Receipt | None]


def _usable(polls: Sequence[Poll], read: Callable[[Poll], list[T]]) -> list[tuple[Poll, list[T]]]:
    found = []
    for poll in polls:
        try:
            found.append((poll, read(poll)))
        except Failure:
            continue
    return found


def _columns(found: Sequence[tuple[Poll, list[T]]]) -> list[list[tuple[Poll, T]]]:
    """Return the nodes' answers by transaction."""
    if not found:
        return []
    return [[(poll, values[i]) for poll, values in found] for i in range(len(found[0][1]))]


def _is_decided(seen: Sequence[tuple[Poll, T]], quorum: int) -> bool:
    values = [value for _, value in seen]
    return any(values.count(value) >= quorum for value in values)


def _receipt(rpc: Rpc, seen: Sequence[_Seen]) -> Receipt | None:
    reported = [receipt for _, receipt in seen]
    for receipt in reported:
        if reported.count(receipt) >= rpc.quorum:
            if receipt is not None:
                others = [poll for poll, r in seen if r not in (None, receipt)]
                rpc.outvoted(others, f"the receipt of {receipt.hash}")
            return receipt
    first = next(receipt for receipt in reported if receipt is not None)
    there = [(p, r) for p, r in seen if r or p.height >= first.block.number]
    for poll, receipt in there:
        if receipt != first:
            raise _differ(rpc, there[0][0], poll, f"the receipt of {first.hash}")
    return None


def usable(rpc: Rpc, rpc_calls: Sequence[RpcCall], read: Callable[[Poll], T]) -> list[T]:
    """Return the usable answers of a quorum of nodes or more; they may differ.

    A node whose answer cannot be is passed over, and the next one is asked.

    Raises:
        Failure: what is wrong with an answer, where too few are usable.
    """
    votes = _collect(rpc.poll(rpc_calls, enough=_enough_usable(rpc, read)), read)
    values = [value for value, polls in votes.groups for _ in polls]
    if len(values) < rpc.quorum:
        raise votes.unusable[0][0]
    return values


def _enough_usable(rpc: Rpc, read: Callable[[Poll], T]) -> Callable[[Sequence[Poll]], bool]:
    def enough(polls: Sequence[Poll]) -> bool:
        groups = _collect(polls, read).groups
        return sum(len(reported) for _, reported in groups) >= rpc.quorum

    return enough


def agreed(rpc: Rpc, rpc_calls: Sequence[RpcCall], read: Callable[[Poll], T], what: str) -> T:
    """Return the answer that a quorum of nodes agrees on.

    read: raises what is wrong with a node's answers; they count for nothing then.

    Raises:
        RpcDisagrees: no quorum gives the same answer.
        Failure: what is wrong with an answer, where it is that.
    """
    return _agreed(rpc, rpc_calls, read, what)[0]


def _agreed(
    rpc: Rpc, rpc_calls: Sequence[RpcCall], read: Callable[[Poll], T], what: str
) -> tuple[T, list[Poll]]:
    def enough(polls: Sequence[Poll]) -> bool:
        return _collect(polls, read).winner(rpc.quorum) is not None

    votes = _collect(rpc.poll(rpc_calls, enough=enough), read)
    winner = votes.winner(rpc.quorum)
    if winner is not None:
        others = [p for _, polls in votes.groups if polls is not winner[1] for p in polls]
        rpc.outvoted([*others, *(poll for _, poll in votes.unusable)], what)
        return winner
    if len(votes.groups) < 2:
        raise votes.unusable[0][0]
    raise _differ(rpc, votes.groups[0][1][0], votes.groups[1][1][0], what)


def _collect(polls: Sequence[Poll], read: Callable[[Poll], T]) -> _Votes[T]:
    votes = _Votes[T]()
    for poll in polls:
        votes.add(poll, read)
    return votes


def _block(rpc: Rpc, poll: Poll, at: int | str, answer: int = 0) -> Block:
    return blocks.parse_header(poll.answers[answer], at, rpc.chain).block


def _still(rpc: Rpc, poll: Poll, now: Block, was: Block) -> None:
    if now != was:
        raise BlockReplaced(
            f"{poll.host} has another block {was.number} of {rpc.chain} than was read "
            "just now: all is read again at the next tick"
        )


def _comparable(answer: Answer) -> object:
    """Return the part of an answer that must be equal: clients word their errors differently."""
    if isinstance(answer, RpcError):
        return RpcError, reverts.reason(answer) is not None
    return answer.lower() if isinstance(answer, str) else answer


def _differ(rpc: Rpc, one: Poll, other: Poll, what: str) -> RpcDisagrees:
    return RpcDisagrees(
        f"{one.host} and {other.host} disagree about {what} of {rpc.chain}: "
        f"nothing is paid until they agree; take the wrong one out of "
        f"MMBOT_{rpc.chain.upper()}_RPC_URLS"
    )
