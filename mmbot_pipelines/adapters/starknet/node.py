"""One Starknet node during one piece of work, asked over the pool. Reads chain.

starknet-py computes hashes, selectors and signatures; a node is asked like any other chain's.
An answer that the specification does not allow is a fault of the node.
"""

import contextlib
import time
from collections.abc import Sequence
from typing import Any

from starknet_py.constants import EXPECTED_RPC_VERSION

from mmbot_pipelines.adapters.rpc.error_class import node_fault_of
from mmbot_pipelines.adapters.rpc.health import NodeFault, NodeFaultKind, ReportedHead
from mmbot_pipelines.adapters.rpc.node import Answer, Node, RpcCall, RpcError
from mmbot_pipelines.adapters.rpc.nodes import Dialect, Nodes
from mmbot_pipelines.adapters.starknet.decoding import (
    felt,
    felts,
    listed,
    members,
    text,
    whole,
    word,
)
from mmbot_pipelines.core.outbox import Block
from mmbot_pipelines.core.text import cleaned

_SHOWN = 40  # characters of a strange value that an error repeats
_NUMBERS = 2**63  # of blocks, as they are stored

BLOCK_NOT_FOUND = 24  # Starknet JSON-RPC specification, errors
_PUBLISHED = range(1, 200)  # the errors of the specification itself

# A view: contract, selector and calldata.
View = tuple[int, int, Sequence[int]]


class StarknetNode:
    """A node that is asked until the work's deadline."""

    def __init__(
        self, nodes: Nodes, node: Node, *, seconds: float, same_at_every_node: bool
    ) -> None:
        """Start the clock; nothing is asked yet.

        seconds: for all questions of the work, however many it gives reason for.
        same_at_every_node: what looks like the node's own error is the answer: all have it.
        """
        self.host = node.host
        self._nodes = nodes
        self._node = node
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds
        self._same_at_every_node = same_at_every_node

    def batch(self, rpc_calls: Sequence[RpcCall]) -> list[Answer]:
        """Ask many questions in few HTTP requests; published errors stand in their places.

        Raises:
            NodeFault: no usable answer, an error of the node's own, or the time is up.
        """
        answers: list[Answer] = []
        for part in self._nodes.parts(rpc_calls):
            if time.monotonic() > self._deadline:
                raise NodeFault(f"did not finish in {self._seconds:g} s", NodeFaultKind.TIMEOUT)
            answers += self._node.ask([(f"starknet_{method}", given) for method, given in part])
        for rpc_call, answer in zip(rpc_calls, answers, strict=True):
            self._refuse_own(rpc_call, answer)
        return answers

    def call(self, method: str, **params: Any) -> Any:
        """Ask one question, its parameters by their published names.

        Raises:
            RpcError: the node answered with an error.
            NodeFault: see `batch`.
        """
        (answer,) = self.batch([(method, params)])
        if isinstance(answer, RpcError):
            raise answer
        return answer

    def newest(self) -> Block:
        """Return the newest block that Starknet has accepted (ACCEPTED_ON_L2)."""
        return _block(self.call("blockHashAndNumber"))

    def made_at(self, number: int) -> int:
        """Return when a sealed block was made, in seconds since 1970.

        Raises:
            RpcError: there is no such block.
        """
        header = self.call("getBlockWithTxHashes", block_id=_block_id(number))
        return int(members(header, timestamp=whole)["timestamp"])

    def block(self, at: int | str) -> Block:
        """Return a sealed block, by its number or by a tag.

        Raises:
            RpcError: there is no such block.
        """
        return self.blocks([at])[0]

    def blocks(self, at: Sequence[int | str]) -> list[Block]:
        """Return sealed blocks, see `block`."""
        found = self.batch([("getBlockWithTxHashes", {"block_id": _block_id(one)}) for one in at])
        for answer in found:
            if isinstance(answer, RpcError):
                raise answer
        return [_block(answer) for answer in found]

    def views(self, views: Sequence[View], at: str | Block) -> list[list[int] | RpcError]:
        """Call views of contracts, at a tag or at the very block that was read before."""
        answers = self.batch(
            [
                (
                    "call",
                    {
                        "request": {
                            "contract_address": hex(contract),
                            "entry_point_selector": hex(selector),
                            "calldata": [hex(value) for value in calldata],
                        },
                        "block_id": _block_id(at),
                    },
                )
                for contract, selector, calldata in views
            ]
        )
        return [one if isinstance(one, RpcError) else felts(one) for one in answers]

    def view(
        self, contract: int, selector: int, calldata: Sequence[int], at: str | Block
    ) -> list[int]:
        """Call one view, see `views`.

        Raises:
            RpcError: the contract has no such view, or it reverts.
        """
        (answer,) = self.views([(contract, selector, calldata)], at)
        if isinstance(answer, RpcError):
            raise answer
        return answer

    def messages(self, l1_transaction: str) -> list[dict[str, Any]]:
        """Return what became of the messages that an L1 transaction sent, in their order.

        Raises:
            RpcError: the node knows no such transaction.
        """
        return [
            members(one, finality_status=text, execution_status=text)
            for one in listed(self.call("getMessagesStatus", transaction_hash=l1_transaction))
        ]

    def _refuse_own(self, rpc_call: RpcCall, answer: Answer) -> None:
        """Raise an error of the node itself: it is no answer to the question."""
        if not isinstance(answer, RpcError) or answer.code in _PUBLISHED:
            return
        kind = node_fault_of(rpc_call, answer)
        if kind is NodeFaultKind.RATE_LIMITED or (
            kind is not None and not self._same_at_every_node
        ):
            raise NodeFault(f"answered with an error of its own: {answer}", kind)


def _block_id(at: int | str | Block) -> object:
    if isinstance(at, Block):
        return {"block_hash": hex(int(at.hash, 16))}
    return {"block_number": at} if isinstance(at, int) else at


def _block(answer: object) -> Block:
    """Read a sealed block; one that is being built has no hash."""
    found = members(answer, block_hash=felt)
    number = found.get("block_number")
    if type(number) is not int or not 0 <= number < _NUMBERS:
        raise NodeFault(f"answered a block of no possible number: {cleaned(number, _SHOWN)}")
    return Block(number, word(found["block_hash"]))


def _check(answers: Sequence[Answer], chain: str, chain_id: int) -> None:
    """Check the specification's version and the chain."""
    try:
        version, found = text(answers[0]), felt(answers[1])
    except NodeFault:
        reported = cleaned([str(answer) for answer in answers], 2 * _SHOWN)
        raise NodeFault(f"does not return its version and chain: {reported}") from None
    if version.split(".")[:2] != EXPECTED_RPC_VERSION.split(".")[:2]:
        raise NodeFault(
            f"speaks Starknet JSON-RPC {cleaned(version, _SHOWN)}, not {EXPECTED_RPC_VERSION}: "
            "name a URL of that version in MMBOT_STARKNET_RPC_URLS"
        )
    if found != chain_id:
        raise NodeFault(
            f"serves Starknet chain {found:#x}, but MMBOT_STARKNET_CHAIN_ID is {chain_id:#x}",
            NodeFaultKind.WRONG_CHAIN,
        )


def _head(answers: Sequence[Answer]) -> ReportedHead:
    newest, header = answers
    if isinstance(newest, RpcError):
        raise NodeFault(f"does not return its newest block: {newest}")
    made = None
    with contextlib.suppress(NodeFault):
        made = members(header, timestamp=whole)["timestamp"]
    return ReportedHead.read(_block(newest).number, made)


STARKNET = Dialect(
    identity=[("starknet_specVersion", {}), ("starknet_chainId", {})],
    head=[
        ("starknet_blockHashAndNumber", {}),
        ("starknet_getBlockWithTxHashes", {"block_id": "latest"}),
    ],
    check=_check,
    read_head=_head,
)
