"""Events with absurd numbers, and an escrow whose views contradict its events."""

from datetime import timedelta
from typing import Any

import pytest
from eth_abi import encode
from eth_utils import keccak

from mmbot_pipelines.adapters.bridge.zksync.escrow import SET_ORDER
from mmbot_pipelines.bridge.guard import resume
from mmbot_pipelines.core.money import UINT256_MAX
from mmbot_pipelines.core.safety import State
from mmbot_pipelines.devnet.accounts import account
from mmbot_pipelines.devnet.chain import ask, mined
from tests.chain.chain_harness import ChainHarness

AMOUNT, FEE = 10**16, 10**15
GOOD = account(6).address
ZERO = "0x" + "0" * 40
ORDERS_SLOT, PENDING_SLOT = 4, 5  # of Escrow.sol


def event(number: int, recipient: str, amount: int, fee: int) -> bytes:
    types = ["uint256", "address", "uint256", "uint256"]
    return encode(types, [number, recipient, amount, fee])


def emit(chain_harness: ChainHarness, *events: bytes) -> None:
    """Let the escrow log these SetOrder events, whatever it holds."""
    header = len(events) * 50 + 1  # bytes of code before the data
    code, data = b"", b"".join(events)
    at = header
    for body in events:
        size = len(body).to_bytes(2)
        # CODECOPY(0, at, size); LOG1(0, size, topic)
        code += b"\x61" + size + b"\x61" + at.to_bytes(2) + b"\x5f\x39"
        code += b"\x7f" + SET_ORDER + b"\x61" + size + b"\x5f\xa1"
        at += len(body)
    code += b"\x00"
    code = code.ljust(header, b"\x00")
    escrow, l2 = chain_harness.ports.devnet.escrow.address, chain_harness.ports.devnet.l2
    honest = l2.eth.get_code(escrow).to_0x_hex()
    ask(l2, "anvil_setCode", escrow, "0x" + (code + data).hex())
    mined(l2, l2.eth.send_transaction({"from": account(5).address, "to": escrow}))
    ask(l2, "anvil_setCode", escrow, honest)


def store(chain_harness: ChainHarness, number: int, slot: int, value: int, offset: int = 0) -> None:
    """Change what the escrow holds, without an event."""
    place = int.from_bytes(keccak(encode(["uint256", "uint256"], [number, slot]))) + offset
    escrow, l2 = chain_harness.ports.devnet.escrow.address, chain_harness.ports.devnet.l2
    ask(l2, "anvil_setStorageAt", escrow, hex(place), f"0x{value:064x}")


def test_absurd_events_are_stored_and_paid_to_nobody(chain_harness: ChainHarness) -> None:
    (honest,) = chain_harness.ports.set_orders(1, amount=AMOUNT, fee=FEE)
    last = UINT256_MAX
    emit(
        chain_harness,
        event(last, GOOD, last, last),
        event(last - 1, GOOD, AMOUNT, last),  # a fee nobody could resist
        event(last - 2, GOOD, last, FEE),
        event(last - 3, GOOD, 0, FEE),
        event(last - 4, ZERO, AMOUNT, FEE),
        event(last - 5, GOOD, AMOUNT, FEE),
        event(last - 6, GOOD, 0, 0),
        event(honest.number, account(7).address, AMOUNT, FEE),  # an id that is taken
        b"\xff" * 128,  # no address
        b"",
        b"\x01" * 127,
    )
    chain_harness.finish()
    assert chain_harness.statuses() == {
        honest.number: "COMPLETED",
        last: "DROPPED",
        last - 1: "parked",
        last - 2: "DROPPED",
        last - 3: "DROPPED",
        last - 4: "DROPPED",
        last - 5: "parked",
        last - 6: "DROPPED",
    }
    assert "has no order" in (chain_harness.order(last - 1).reason or "")
    assert "zero address" in (chain_harness.order(last - 4).reason or "")
    assert chain_harness.payments() == {honest.number: 1}
    assert chain_harness.order(honest.number).recipient == honest.recipient
    assert sum("skipped" in line for line in chain_harness.logged) == 3
    stored = chain_harness.order(last)
    assert (stored.amount, stored.fee) == (last, last)


LIES: list[Any] = [
    (ORDERS_SLOT, int(account(8).address, 16), 0, "holds"),  # another recipient
    (ORDERS_SLOT, AMOUNT + 1, 1, "holds"),
    (ORDERS_SLOT, AMOUNT - 1, 1, "holds"),
    (ORDERS_SLOT, UINT256_MAX, 1, "holds"),
    (ORDERS_SLOT, 0, 2, "holds"),  # no fee
    (ORDERS_SLOT, UINT256_MAX, 2, "holds"),
    (PENDING_SLOT, 0, 0, "has paid out order"),
]


@pytest.mark.parametrize(("slot", "value", "offset", "logged"), LIES)
def test_escrow_whose_view_contradicts_its_event_pays_nobody(
    chain_harness: ChainHarness, slot: int, value: int, offset: int, logged: str
) -> None:
    first, lied, last = chain_harness.ports.set_orders(3, amount=AMOUNT, fee=FEE)
    chain_harness.detect()
    store(chain_harness, lied.number, slot, value, offset)
    chain_harness.finish(rounds=2)
    assert chain_harness.statuses() == {
        first.number: "COMPLETED",
        lied.number: "parked",
        last.number: "COMPLETED",
    }
    assert logged in (chain_harness.order(lied.number).reason or "")
    assert chain_harness.payments() == {first.number: 1, last.number: 1}


def test_escrow_that_forgets_an_order_is_asked_again_and_then_parked(
    chain_harness: ChainHarness,
) -> None:
    (order,) = chain_harness.ports.set_orders(1, amount=AMOUNT, fee=FEE)
    chain_harness.detect()
    for offset in range(3):
        store(chain_harness, order.number, ORDERS_SLOT, 0, offset)
    chain_harness.finish()
    assert chain_harness.statuses() == {order.number: "parked"}
    assert chain_harness.payments() == {}


def test_escrow_that_is_no_escrow_any_more_pays_nobody(chain_harness: ChainHarness) -> None:
    chain_harness.ports.set_orders(2, amount=AMOUNT, fee=FEE)
    chain_harness.detect()
    l2, escrow = chain_harness.ports.devnet.l2, chain_harness.ports.devnet.escrow.address
    honest = l2.eth.get_code(escrow).to_0x_hex()
    # What a view may return: nothing, one byte, a megabyte, a revert, all gas, a wrong type.
    for code in ("0x00", "0x60015ff3", "0x62100000 5ff3", "0x5f5ffd", "0xfe", "0x5f195f5260805ff3"):
        ask(l2, "anvil_setCode", escrow, code.replace(" ", ""))
        chain_harness.detect()
        chain_harness.transfer()
        chain_harness.passed += timedelta(hours=1)
        for scope_state in chain_harness.bridge.store.safety.scope_states():
            if scope_state.state is State.HALTED:
                resume(chain_harness.bridge, scope_state.scope, by="Ann", reason="the next code")
    assert chain_harness.payments() == {}
    assert set(chain_harness.statuses().values()) <= {"parked", "PROCESSING"}
    ask(l2, "anvil_setCode", escrow, honest)
    assert "EscrowNotOurs" in {
        c.why.split(":")[0] for c in chain_harness.bridge.store.safety.changes(99)
    }
