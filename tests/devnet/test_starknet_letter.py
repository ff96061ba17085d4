"""Whatever the local Starknet is asked, its answer is one that the specification has."""

from collections.abc import Iterator, Sequence
from itertools import chain, product
from typing import Any

import pytest
from jsonschema import ValidationError

from tests.devnet.starknet_reading import BALANCE_OF, TOKEN, TRANSFER, call
from tests.devnet.starknet_rpc import NOT_THERE, Rpc, Specification, specification, starknet

PRIME = 2**251 + 17 * 2**192 + 1

ODD: Sequence[Any] = (
    *(None, True, 0, -1, 1.5, 10**30, [], {}, [None], [[[]]], {"a": [{}]}),
    *("", "0x", "0x0", "0x00", "0x1", "0xG", "0x" + "f" * 64, hex(PRIME), hex(PRIME - 1)),
    *("latest", "pending", "l1_accepted", "pre_confirmed"),
    *({"block_number": 0}, {"block_number": True}, {"block_number": 10**9}),
    {"block_hash": "0x1"},
    *("9" * 5000 + "-1", "1-" + "9" * 5000, "0-0", "99-0", "1-99", "-", "\u0663-\u0663"),
)


@pytest.fixture(scope="module")
def rpc() -> Iterator[Rpc]:
    with starknet(l1_depth=1) as rpc:
        for amount in range(1, 4):
            rpc.devnet("mint", address="0x77", amount=amount)
            rpc.devnet("mine")
        rpc.devnet("mint", address="0x77", amount=9)
        yield rpc


@pytest.fixture(scope="module")
def spec() -> Specification:
    spec = specification()
    if spec is None:
        pytest.skip(NOT_THERE)
    return spec


def good(rpc: Rpc) -> dict[str, dict[str, Any]]:
    """Return parameters of each method that reads, all of which it takes."""
    events = rpc("getEvents", {"address": TOKEN, "chunk_size": 1})
    tx = {"transaction_hash": events["events"][0]["transaction_hash"]}
    latest = {"block_id": "latest"}
    token = {"contract_address": TOKEN}
    sender = {"from_address": "0x" + "11" * 20, "to_address": TOKEN}
    return {
        "getBlockWithTxHashes": latest,
        "getBlockWithTxs": {"block_id": {"block_number": 2}, "response_flags": []},
        "getBlockWithReceipts": {"block_id": "pre_confirmed", "response_flags": []},
        "getBlockTransactionCount": latest,
        "getTransactionByBlockIdAndIndex": {**latest, "index": 0},
        "getTransactionByHash": tx,
        "getTransactionReceipt": tx,
        "getTransactionStatus": tx,
        "getMessagesStatus": {"transaction_hash": "0x" + "1" * 64},
        "getStorageAt": {**token, "key": "0x1", **latest, "response_flags": []},
        "getNonce": {**latest, **token},
        "getClass": {**latest, "class_hash": "0x5"},
        "getClassAt": {**latest, **token},
        "getClassHashAt": {**latest, **token},
        "call": {"request": call(BALANCE_OF, "0x77"), **latest},
        "estimateFee": {"request": [], "simulation_flags": [], **latest},
        "estimateMessageFee": {
            "message": {**sender, "entry_point_selector": "0x5", "payload": ["0x1"]},
            **latest,
        },
        "getEvents": {
            "filter": {
                "from_block": {"block_number": 0},
                "to_block": "latest",
                "address": [TOKEN],
                "keys": [[TRANSFER]],
                "chunk_size": 2,
                "continuation_token": events["continuation_token"],
            }
        },
    }


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield where something can be replaced."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for key, held in inner:
        yield (*at, key)
        if isinstance(held, dict | list):
            yield from places(held, (*at, key))


def replaced(value: Any, at: tuple[Any, ...], by: Any) -> Any:
    copy = value.copy()
    copy[at[0]] = by if len(at) == 1 else replaced(value[at[0]], at[1:], by)
    return copy


def fits(spec: Specification, request: dict[str, Any]) -> bool:
    try:
        spec.check_request(request)
    except (AssertionError, ValidationError):
        return False
    return True


def test_odd_parameters_are_answered_by_the_letter(rpc: Rpc, spec: Specification) -> None:
    for method, params in good(rpc).items():
        named = [replaced(params, at, odd) for at, odd in product(places(params), ODD)]
        given = chain(named, (list(one.values()) for one in named[::2]))
        batch = [rpc.request(f"starknet_{method}", one) for one in given]
        answers = rpc.post(batch)
        assert [answer["id"] for answer in answers] == [request["id"] for request in batch]
        for request, answer in zip(batch, answers, strict=True):
            spec.check_answer(request, answer)
            refused = answer.get("error", {}).get("code") == -32602
            # A felt is below the field's prime, which the schema's pattern cannot say.
            beyond = hex(PRIME) in str(request)
            assert refused or fits(spec, request), request
            assert not refused or beyond or not fits(spec, request), (request, answer)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 200_000,
        b'{"jsonrpc": "2.0", "id": NaN, "method": "starknet_chainId"}',
        b'{"jsonrpc": "2.0", "id": true, "method": "starknet_chainId"}',
        b'{"jsonrpc": "2.0", "id": [1], "method": "starknet_chainId"}',
        b'{"jsonrpc": "2.0", "id": 1, "method": "starknet_chainId", "params": null}',
        b"\xff",
        b"",
    ],
)
def test_what_is_no_request_is_told_so(rpc: Rpc, body: bytes) -> None:
    answered = rpc.session.post(rpc.url, data=body, timeout=9)
    assert answered.status_code == 200
    answer = answered.json()
    assert answer["id"] is None
    assert answer["error"]["code"] in (-32700, -32600)


def test_a_batch_answers_each_request_and_no_notification(rpc: Rpc) -> None:
    asked = rpc.request("starknet_chainId", [])
    told = rpc.post([1, asked, {"jsonrpc": "2.0", "method": "starknet_chainId"}])
    assert [answer["id"] for answer in told] == [None, asked["id"]]
    assert told[0]["error"]["code"] == -32600


def test_a_token_may_be_used_again_and_means_the_same(rpc: Rpc) -> None:
    wanted = {"address": TOKEN, "keys": [[TRANSFER]], "chunk_size": 2}
    first = rpc("getEvents", wanted)
    token = {"continuation_token": first["continuation_token"]}
    second = rpc("getEvents", {**wanted, **token})
    assert rpc("getEvents", {**wanted, **token}) == second
    assert not [event for event in second["events"] if event in first["events"]]
    # Behind the range that it is used for, it is none of this query.
    below = {**wanted, "to_block": {"block_number": 0}}
    assert rpc.refused("getEvents", {**below, **token}).code == 33
