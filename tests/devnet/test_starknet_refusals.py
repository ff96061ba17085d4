"""What the local Starknet refuses: bad orders, signatures, fees and thieves."""

from typing import Any

import pytest
from starknet_py.net.client_errors import ClientError
from starknet_py.net.client_models import Call
from starknet_py.net.client_utils import _create_broadcasted_txn

from mmbot_pipelines.devnet.starknet.contracts import ESCROW_ADDRESS
from mmbot_pipelines.devnet.starknet.felt import felt, selector_of
from mmbot_pipelines.devnet.starknet.token import ETH, STRK
from mmbot_pipelines.devnet.starknet.users import StarknetOrder, order_calls
from tests.devnet.starknet_bridge import ORDER, balance, user_of, view
from tests.devnet.starknet_rpc import Refused, Rpc, run


@pytest.mark.parametrize(
    ("calls", "reason"),
    [
        (order_calls([ORDER])[1:], "insufficient allowance"),
        (order_calls([StarknetOrder(recipient=1, amount=0, fee=1)]), "Amount must > 0"),
        (order_calls([StarknetOrder(recipient=1, amount=2**200, fee=1)]), "insufficient balance"),
        (order_calls([StarknetOrder(recipient=2**160, amount=1, fee=1)]), "range [0;2**160)"),
        ([Call(ESCROW_ADDRESS, selector_of("set_order"), [1, 1])], "Failed to deserialize"),
        ([Call(0xDEAD, 1, [])], "is not deployed"),
    ],
)
def test_what_the_escrow_refuses_reverts(rpc: Rpc, calls: list[Call], reason: str) -> None:
    user = user_of(rpc)

    async def execute() -> Any:
        bounds = await user.estimate_fee(
            await user.sign_invoke_v3(order_calls([ORDER]), auto_estimate=True)
        )
        return await user.execute_v3(calls, resource_bounds=bounds.to_resource_bounds(10, 10))

    with pytest.raises(ClientError) as foreseen:
        run(user.execute_v3(calls, auto_estimate=True))
    assert foreseen.value.code == 41
    assert reason in str(foreseen.value.data)
    tx_hash = felt(run(execute()).transaction_hash)
    receipt = rpc("getTransactionReceipt", tx_hash)
    assert receipt["execution_status"] == "REVERTED"
    assert reason in receipt["revert_reason"]
    assert [e["from_address"] for e in receipt["events"]] == [felt(STRK)], "only the fee is left"
    assert reason in rpc("getTransactionStatus", tx_hash)["failure_reason"]
    assert view(rpc, "get_order_pending", 0, 0) == [0]
    assert rpc("getNonce", "pre_confirmed", felt(user.address)) == "0x1"


def sent_by(rpc: Rpc, **changes: Any) -> Any:
    """Send a signed order with some of its members changed after signing."""
    user = user_of(rpc)

    async def sign() -> Any:
        return await user.sign_invoke_v3(order_calls([ORDER]), auto_estimate=True)

    signed = run(sign())
    return rpc("addInvokeTransaction", {**_create_broadcasted_txn(signed), **changes})


def test_a_transaction_is_taken_once(rpc: Rpc) -> None:
    signed = run(user_of(rpc).sign_invoke_v3(order_calls([ORDER]), auto_estimate=True))
    transaction = _create_broadcasted_txn(signed)
    rpc("addInvokeTransaction", transaction)
    assert rpc.refused("addInvokeTransaction", transaction).code == 59


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"nonce": "0x7"}, 52),
        ({"calldata": ["0x0"]}, 55),
        ({"signature": []}, 55),
        ({"signature": ["0x1", "0x2"]}, 55),
    ],
)
def test_what_no_account_signed_is_refused(rpc: Rpc, changes: dict[str, Any], code: int) -> None:
    with pytest.raises(Refused) as refused:
        sent_by(rpc, **changes)
    assert refused.value.code == code
    assert rpc("getBlockWithTxHashes", "pre_confirmed")["transactions"] == []


@pytest.mark.parametrize(
    ("bound", "code"),
    [
        ({"max_amount": "0xffffffffffffffff", "max_price_per_unit": "0xffffffffffffffff"}, 54),
        ({"max_amount": "0xffff", "max_price_per_unit": "0x1"}, 53),
    ],
)
def test_fees_must_be_covered(rpc: Rpc, bound: dict[str, str], code: int) -> None:
    bounds = dict.fromkeys(("l1_gas", "l1_data_gas", "l2_gas"), bound)
    with pytest.raises(Refused) as refused:
        sent_by(rpc, resource_bounds=bounds)
    assert refused.value.code == code


def test_nobody_moves_more_than_was_approved(rpc: Rpc) -> None:
    thief, victim = user_of(rpc, 3), user_of(rpc, 2)
    approve = Call(ETH, selector_of("approve"), [thief.address, 5, 0])
    take = [
        Call(ETH, selector_of("transferFrom"), [victim.address, thief.address, amount, 0])
        for amount in (6, 5, 1)
    ]
    run(victim.execute_v3(approve, auto_estimate=True))
    before = balance(rpc, victim.address)
    for call in (take[0], [take[1], take[2]]):
        with pytest.raises(ClientError) as refused:
            run(thief.execute_v3(call, auto_estimate=True))
        assert "ERC20: insufficient allowance" in str(refused.value.data)
    run(thief.execute_v3(take[1], auto_estimate=True))
    assert before - balance(rpc, victim.address) == 5
