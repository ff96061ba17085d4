"""One Starknet node behind one URL, spoken to by starknet-py.

The URL may carry an API key: nothing but host and port of it is ever shown, and no
exception of the HTTP library, which repeats the URL, is passed on or chained.
"""

import asyncio
import json
from collections.abc import Awaitable, Sequence
from contextvars import ContextVar
from typing import Any, TypeVar

import aiohttp
from marshmallow import ValidationError
from starknet_py.constants import EXPECTED_RPC_VERSION, FIELD_PRIME
from starknet_py.net.client_models import Call, MessageStatus
from starknet_py.net.full_node_client import FullNodeClient
from starknet_py.net.http_client import HttpMethod, RpcHttpClient
from starknet_py.net.schemas.rpc.transactions import MessageStatusSchema

from mmbot_pipelines.adapters.rpc.error_class import node_fault_of
from mmbot_pipelines.adapters.rpc.health import NodeFaultKind, NodeHealth
from mmbot_pipelines.adapters.rpc.node import NodeFault, RpcError, redact, secrets_in
from mmbot_pipelines.core.outbox import Block
from mmbot_pipelines.core.text import cleaned, redacted_host

T = TypeVar("T")

_BODY_STATUSES = (200, 400)  # some nodes answer a refused request with 400
_LIMITED = 429
_CHUNK = 65_536  # bytes read at once
_SHOWN = 40  # characters of a strange version that an error repeats

_NUMBERS = 2**63  # of blocks, as they are stored

# What starknet-py raises over an answer that is JSON-RPC, but not of the method's types.
_NOT_THE_TYPE = (ValidationError, ValueError, TypeError, KeyError, AttributeError, AssertionError)

# Where an error keeps the error of the call within.
_NESTED = ("revert_error", "execution_error", "error")

BLOCK_NOT_FOUND = 24  # Starknet JSON-RPC specification, errors
_PUBLISHED = range(1, 200)  # the errors of the specification itself

# Set where all nodes have been asked: what looks like a node's own error is the answer then.
same_at_every_node: ContextVar[bool] = ContextVar("every_node_says", default=False)


class _Transport(RpcHttpClient):
    """Send requests; answers are bounded, faults name no URL."""

    def __init__(
        self, url: str, session: aiohttp.ClientSession, limit: asyncio.Semaphore, max_bytes: int
    ) -> None:
        super().__init__(url, session)
        self._is_spec_version_verified = True  # `StarknetNode.verify` does it, and refuses
        self._keys = secrets_in(url)
        self._limit = limit
        self._max_bytes = max_bytes

    async def _make_request(
        self,
        session: aiohttp.ClientSession,
        address: str,
        http_method: HttpMethod,
        params: Any,
        payload: dict[str, Any],
    ) -> dict[str, Any]:
        async with self._limit:
            posted = await self._post(session, address, payload)
        if isinstance(posted, NodeFault):
            raise posted
        return _answer(posted, payload["id"])

    async def _post(
        self, session: aiohttp.ClientSession, address: str, payload: dict[str, Any]
    ) -> bytes | NodeFault:
        """Return the fault instead of raising it: so no exception with the URL is chained."""
        try:
            return await self._read(session, address, payload)
        except NodeFault as e:
            return e
        except TimeoutError:
            return NodeFault("timed out", NodeFaultKind.TIMEOUT)
        except aiohttp.ClientSSLError:
            return NodeFault("its TLS certificate is not accepted", NodeFaultKind.UNREACHABLE)
        except aiohttp.ClientConnectionError:
            return NodeFault("unreachable", NodeFaultKind.UNREACHABLE)
        except (aiohttp.ClientError, ValueError) as e:
            return NodeFault(f"the request failed ({type(e).__name__})", NodeFaultKind.UNREACHABLE)

    async def _read(
        self, session: aiohttp.ClientSession, address: str, payload: dict[str, Any]
    ) -> bytes:
        read = bytearray()
        async with session.post(address, json=payload, allow_redirects=False) as response:
            if response.status not in _BODY_STATUSES:
                kind = (
                    NodeFaultKind.RATE_LIMITED
                    if response.status == _LIMITED
                    else NodeFaultKind.HTTP
                )
                raise NodeFault(f"answered HTTP {response.status}", kind)
            async for chunk in response.content.iter_chunked(_CHUNK):
                read += chunk
                if len(read) > self._max_bytes:
                    text = f"answered more than {self._max_bytes} bytes"
                    raise NodeFault(text, NodeFaultKind.TOO_LARGE)
        return redact(bytes(read), self._keys)

    @staticmethod
    def handle_rpc_error(result: dict[str, Any]) -> None:
        """Raise the error that the node answered, without starknet-py's words around it.

        An error of the node itself says nothing about the question: another one is asked.
        """
        error = result["error"]
        code = error.get("code")
        reported = RpcError(
            code if isinstance(code, int) else 0, error.get("message", ""), error.get("data")
        )
        kind = node_fault_of(("", ()), reported) if reported.code not in _PUBLISHED else None
        if kind is NodeFaultKind.RATE_LIMITED or (
            kind is not None and not same_at_every_node.get()
        ):
            raise NodeFault(f"answered with an error of its own: {reported}", kind)
        raise reported


class _Client(FullNodeClient):
    def __init__(self, url: str, transport: _Transport) -> None:
        super().__init__(url)
        self._client = transport


class StarknetNode:
    """A node, asked within one event loop."""

    def __init__(
        self, url: str, session: aiohttp.ClientSession, *, max_concurrent: int, max_bytes: int
    ) -> None:
        self.host = redacted_host(url)
        self.health = NodeHealth()
        self.verified = False  # that it serves the expected chain
        limit = asyncio.Semaphore(max_concurrent)
        self._transport = _Transport(url, session, limit, max_bytes)
        self.client = _Client(url, self._transport)

    def __repr__(self) -> str:
        return f"StarknetNode({self.host})"

    async def asked(self, answer: Awaitable[T]) -> T:
        """Await what starknet-py makes of an answer.

        Raises:
            RpcError: the node answered with an error.
            NodeFault: the node gave no usable answer.
        """
        try:
            return await answer
        except _NOT_THE_TYPE as e:
            fault = NodeFault(f"answered what Starknet's specification has not ({_what(e)})")
        raise fault

    async def verify(self, chain_id: int, *, recheck: bool = False) -> None:
        """Check the specification's version and the chain, before the first use or anew.

        Raises:
            NodeFault: it serves another chain than the settings name, speaks another version,
                or does not say.
        """
        if self.verified and not recheck:
            return
        try:
            version = await self.asked(self.client.spec_version())
            chain = int(await self.asked(self.client.get_chain_id()), 16)
        except (RpcError, ValueError, TypeError) as e:
            fault = NodeFault(f"does not return its version and chain: {cleaned(e, _SHOWN)}")
            raise fault from None
        if version.split(".")[:2] != EXPECTED_RPC_VERSION.split(".")[:2]:
            raise NodeFault(
                f"speaks Starknet JSON-RPC {cleaned(version, _SHOWN)}, not {EXPECTED_RPC_VERSION}: "
                "name a URL of that version in MMBOT_STARKNET_RPC_URLS"
            )
        if chain != chain_id:
            raise NodeFault(
                f"serves Starknet chain {chain:#x}, but MMBOT_STARKNET_CHAIN_ID is {chain_id:#x}",
                NodeFaultKind.WRONG_CHAIN,
            )
        self.verified = True

    async def newest(self) -> Block:
        """Return the newest block that Starknet has accepted (ACCEPTED_ON_L2)."""
        found = await self.asked(self.client.get_block_hash_and_number())
        return _block(found.block_number, found.block_hash)

    async def block(self, at: int | str) -> Block:
        """Return a sealed block, by its number or by a tag.

        Raises:
            RpcError: there is no such block.
        """
        header = await self.asked(self.client.get_block_with_tx_hashes(block_number=at))  # type: ignore[arg-type]
        block_hash = getattr(header, "block_hash", None)
        if block_hash is None:
            raise NodeFault(f"answered an unsealed block for {at}")
        return _block(header.block_number, block_hash)

    async def view(
        self, contract: int, selector: int, calldata: Sequence[int], at: str | Block
    ) -> list[int]:
        """Call a view of a contract, at a tag or at the very block that was read before.

        Raises:
            RpcError: the contract has no such view, or it reverts.
        """
        where = at if isinstance(at, str) else at.hash
        call = Call(to_addr=contract, selector=selector, calldata=list(calldata))
        reported = await self.asked(self.client.call_contract(call, block_hash=where))
        if not all(0 <= value < FIELD_PRIME for value in reported):
            raise NodeFault("answered a call with what is no felt")
        return reported

    async def add_invoke(self, transaction: dict[str, Any]) -> None:
        """Hand over a signed transaction, as BROADCASTED_INVOKE_TXN of the specification.

        Raises:
            RpcError: it is refused.
        """
        params = {"invoke_transaction": transaction}
        await self.asked(self._transport.call("addInvokeTransaction", params))

    async def messages(self, l1_transaction: str) -> list[MessageStatus]:
        """Return what became of the messages that an L1 transaction sent, in their order.

        Past starknet-py, which takes no hash of 64 digits.

        Raises:
            RpcError: the node knows no such transaction.
        """
        given = {"transaction_hash": l1_transaction}
        reported = await self.client._client.call(method_name="getMessagesStatus", params=given)
        read: list[MessageStatus] = await self.asked(_loaded(reported))
        return read


async def _loaded(reported: Any) -> Any:
    return MessageStatusSchema().load(reported, many=True)


def word(value: int) -> str:
    """Write a felt as a hash of 32 bytes, as explorers do."""
    return f"0x{value:064x}"


def _block(number: int, block_hash: int) -> Block:
    if not 0 <= number < _NUMBERS:
        raise NodeFault(f"answered a block of no possible number: {cleaned(number, _SHOWN)}")
    return Block(number, word(block_hash))


def reason(error: RpcError) -> str:
    """Say why a call failed, as the innermost of the nested calls does.

    Source: Starknet JSON-RPC specification, CONTRACT_EXECUTION_ERROR.
    """
    inner = error.data
    while isinstance(inner, dict):
        inner = next((inner[name] for name in _NESTED if name in inner), None)
    return cleaned(f"{error.message}: {innermost(str(inner))}" if inner else error)


def innermost(trace: str) -> str:
    """Return the last line of a trace of nested calls: it holds the reason."""
    return (trace.strip().splitlines() or [""])[-1]


def _answer(body: bytes, request_id: object) -> dict[str, Any]:
    """Read a JSON-RPC answer: it is of this request, and holds a result or an error."""
    try:
        answered = json.loads(body)
    except (ValueError, RecursionError):
        answered = None
    if not isinstance(answered, dict) or answered.get("id", request_id) != request_id:
        raise NodeFault("answered something that is not JSON-RPC")
    if isinstance(answered.get("error"), dict):
        answered.pop("result", None)
    elif "result" not in answered:
        raise NodeFault("gave an answer without result and error")
    return answered


def _what(error: Exception) -> str:
    return cleaned(f"{type(error).__name__}: {error}", 120)
