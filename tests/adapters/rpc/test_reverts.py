"""The reason of a revert, in each encoding of nodes and contracts."""

from typing import Any

import pytest
from eth_abi import encode
from hypothesis import example, given
from hypothesis import strategies as st

from mmbot_pipelines.adapters.rpc.client import RpcError
from mmbot_pipelines.adapters.rpc.reverts import decode_revert, reason

ERROR, PANIC = bytes.fromhex("08c379a0"), bytes.fromhex("4e487b71")


def error(text: str) -> bytes:
    return ERROR + encode(["string"], [text])


@pytest.mark.parametrize(
    ("returned", "logged"),
    [
        (error("Transfer failed."), "Transfer failed."),
        (error(""), "reverted with an empty reason"),
        (error("a\x1b[31m\nb"), "a[31mb"),
        (PANIC + encode(["uint256"], [0x11]), "panic 0x11: arithmetic overflow or underflow"),
        (PANIC + encode(["uint256"], [0x99]), "panic 0x99: unknown to Solidity"),
        (bytes.fromhex("deadbeef") + b"\0" * 32, "custom error 0xdeadbeef"),
        (bytes.fromhex("deadbeef"), "custom error 0xdeadbeef"),
        (ERROR, "malformed error 0x08c379a0"),
        (PANIC + b"\1", "malformed error 0x4e487b71"),
        (b"", "reverted without a reason"),
        (b"\1\2", "reverted with 2 bytes that are no error"),
    ],
)
def test_returned_bytes_are_decoded_as_text(returned: bytes, logged: str) -> None:
    assert decode_revert(returned) == logged


def test_long_reason_is_cut() -> None:
    assert len(decode_revert(error("x" * 5000))) == 200


def test_reason_that_is_no_utf8_is_shown_as_far_as_it_goes() -> None:
    assert decode_revert(ERROR + encode(["bytes"], [b"ab\xffcd"])) == "ab�cd"


@given(st.sampled_from([ERROR, PANIC, b""]), st.binary(max_size=300))
@example(ERROR, b"\xff" * 64)
@example(ERROR, b"\0" * 31 + b"\x20" + b"\xff" * 32)
def test_no_bytes_break_the_decoding(selector: bytes, rest: bytes) -> None:
    logged = decode_revert(selector + rest)
    assert 0 < len(logged) <= 200
    assert "\n" not in logged


HEX = "0x" + error("Transfer not found.").hex()


@pytest.mark.parametrize(
    "answered",
    [
        RpcError(3, "execution reverted: Transfer not found.", HEX),  # geth, anvil
        RpcError(3, "execution reverted: Transfer not found."),
        RpcError(-32000, "execution reverted: Transfer not found."),
        RpcError(-32015, "VM execution error.", {"data": HEX}),
        RpcError(-32603, "Error: VM Exception while processing transaction", HEX),
    ],
)
def test_clients_report_reverts_in_different_ways(answered: RpcError) -> None:
    assert reason(answered) == "Transfer not found."


@pytest.mark.parametrize(
    ("answered", "logged"),
    [
        (RpcError(3, "execution reverted", "0x"), "reverted without a reason"),
        (RpcError(-32000, "execution reverted"), "reverted without a reason"),
        (RpcError(-32000, "gas required exceeds allowance (30000000)"), "gas required exceeds"),
        (RpcError(-32000, "invalid opcode: INVALID"), "invalid opcode"),
        (RpcError(-32003, "out of gas: gas required exceeds: 100"), "out of gas"),
    ],
)
def test_failing_without_data_has_words(answered: RpcError, logged: str) -> None:
    assert (reason(answered) or "").startswith(logged)


@pytest.mark.parametrize(
    "answered",
    [
        RpcError(-32000, "header not found"),
        RpcError(-32005, "limit exceeded"),
        RpcError(-32601, "the method eth_estimateGas does not exist"),
        RpcError(-32000, "insufficient funds for gas * price + value"),
    ],
)
def test_other_errors_are_no_reverts(answered: RpcError) -> None:
    assert reason(answered) is None


@given(st.integers(), st.text(), st.none() | st.text() | st.dictionaries(st.text(), st.text()))
def test_no_error_breaks_the_reading(code: int, message: str, data: Any) -> None:
    logged = reason(RpcError(code, message, data))
    assert logged is None or 0 < len(logged) <= 200
