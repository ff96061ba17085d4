"""What money is paid on: read from as many nodes as MMBOT_RPC_QUORUM asks for.

Honest nodes are rarely at the same block. So all are asked about the newest block that all
of them have, and each must show that very block, by its hash, before and after its answers.
"""

from collections.abc import Sequence
from typing import TypeVar

from mmbot_pipelines.adapters.ethereum import blocks, reverts
from mmbot_pipelines.adapters.ethereum.node import Answer, Question, RpcError
from mmbot_pipelines.adapters.ethereum.rpc import Poll, Rpc
from mmbot_pipelines.core.errors import RpcUnavailable
from mmbot_pipelines.core.money import Wei
from mmbot_pipelines.core.outbox import Block, Receipt

_T = TypeVar("_T")


class RpcDisagrees(RpcUnavailable):
    """Nodes tell different things about one block: nothing is paid on the word of any."""


class BlockReplaced(RpcUnavailable):
    """A reorg replaced the block that was being read."""


def newest(rpc: Rpc, tag: str = "latest") -> Block:
    """Return the newest block that as many nodes have as the quorum asks for.

    tag: "latest", "safe" or "finalized".

    Raises:
        RpcDisagrees: they have different blocks of one number.
        RpcUnavailable: too few nodes answered.
    """
    polls = rpc.poll([blocks.asked(tag)])
    heads = [_block(rpc, poll.answers[0], tag) for poll in polls]
    lowest = min(heads, key=lambda head: head.number)
    if any(head != lowest for head in heads):
        polls = rpc.poll([blocks.asked(lowest.number)])
        heads = [_block(rpc, poll.answers[0], lowest.number) for poll in polls]
    return _same(rpc, polls, heads, f"block {lowest.number}")


def now(rpc: Rpc) -> Block | str:
    """Return where to read a state once: at "latest" by one node, else at a block of all."""
    return "latest" if rpc.quorum == 1 else newest(rpc)


def read(rpc: Rpc, questions: Sequence[Question], block: Block | str) -> list[Answer]:
    """Ask about the state at a block; the questions name it by `blocks.tag`.

    Raises:
        RpcDisagrees: the nodes' answers differ.
        BlockReplaced: a node has another block in its place by now.
        RpcUnavailable: too few nodes answered, or have the block.
    """
    if isinstance(block, str):
        return rpc.poll(questions)[0].answers
    look = blocks.asked(block.number)
    polls = rpc.poll([look, *questions, look])
    for poll in polls:
        for look_at in (0, -1):
            _still(rpc, poll, _block(rpc, poll.answers[look_at], block.number), block)
    told = [[_comparable(answer) for answer in poll.answers[1:-1]] for poll in polls]
    _same(rpc, polls, told, f"the state at block {block.number}")
    return polls[0].answers[1:-1]


def base_fee(rpc: Rpc, block: Block) -> Wei | None:
    """Return the base fee of a block, in wei per gas; None before EIP-1559.

    Raises:
        RpcDisagrees: the nodes tell different ones.
        BlockReplaced: a node has another block in its place by now.
        RpcUnavailable: too few nodes answered, or have the block.
    """
    polls = rpc.poll([blocks.asked(block.number)])
    headers = [blocks.told(poll.answers[0], block.number, rpc.chain) for poll in polls]
    for poll, header in zip(polls, headers, strict=True):
        _still(rpc, poll, header.block, block)
    told = [header.base_fee for header in headers]
    return _same(rpc, polls, told, f"the base fee of block {block.number}")


def receipt(rpc: Rpc, polls: Sequence[Poll], found: Sequence[Receipt | None]) -> Receipt | None:
    """Return the one receipt that all nodes have; None while some have not come to its block.

    found: of one transaction, in the order of the polls.

    Raises:
        RpcDisagrees: they differ, or a node that has the block has no receipt.
    """
    mined = [r for r in found if r is not None]
    if not mined:
        return None
    first = mined[0]
    there = [
        (poll, r)
        for poll, r in zip(polls, found, strict=True)
        if r or poll.height >= first.block.number
    ]
    _same(rpc, [p for p, _ in there], [r for _, r in there], f"the receipt of {first.hash}")
    return first if len(mined) == len(polls) else None


def _block(rpc: Rpc, answer: Answer, at: int | str) -> Block:
    return blocks.told(answer, at, rpc.chain).block


def _still(rpc: Rpc, poll: Poll, now: Block, was: Block) -> None:
    if now != was:
        raise BlockReplaced(
            f"{poll.host} has another block {was.number} of {rpc.chain} than was read "
            "just now: all is read again at the next tick"
        )


def _comparable(answer: Answer) -> object:
    """Return what must be the same: clients word their errors differently."""
    if isinstance(answer, RpcError):
        return RpcError, reverts.reason(answer) is not None
    return answer.lower() if isinstance(answer, str) else answer


def _same(rpc: Rpc, polls: Sequence[Poll], told: Sequence[_T], what: str) -> _T:
    other = next((p for p, t in zip(polls, told, strict=True) if t != told[0]), None)
    if other is not None:
        raise RpcDisagrees(
            f"{polls[0].host} and {other.host} tell different things about {what} of {rpc.chain}: "
            f"nothing is paid until they agree; take the wrong one out of "
            f"MMBOT_{rpc.chain.upper()}_RPC_URLS"
        )
    return told[0]
