"""The batch contract as the code of our account, on a chain with the registry."""

from collections.abc import Iterator, Sequence

import pytest
from eth_account import Account
from web3.exceptions import ContractLogicError
from web3.logs import DISCARD
from web3.types import TxReceipt

from mmbot_pipelines.adapters.evm.batch_executor import (
    CALL_FAILED,
    FACTORY,
    batch,
    batch_gas,
    contract_address,
    deployment,
    runtime_code,
)
from mmbot_pipelines.core.delegation import BatchedCall
from mmbot_pipelines.core.money import Address, Gas, Wei
from mmbot_pipelines.core.outbox import Call
from mmbot_pipelines.devnet.accounts import account
from mmbot_pipelines.devnet.chain import ask, mined
from tests.devnet.bridge import STRANGER, Devnet, rolled_back, running

AMOUNT = Wei(10**15)
LIMIT = Gas(200_000)


@pytest.fixture(scope="module")
def delegated() -> Iterator[Devnet]:
    """Yield chains on which our account has the contract's code."""
    with running() as devnet:
        l1 = devnet.l1
        call = deployment()
        sent = l1.eth.send_transaction({"from": STRANGER, "to": call.to, "data": call.data})
        assert mined(l1, sent)["status"] == 1
        # as its own transaction will have it, see test_delegation
        designator = "0xef0100" + contract_address()[2:]
        ask(l1, "anvil_setCode", devnet.deployment.market_maker, designator)
        yield devnet


@pytest.fixture
def devnet(delegated: Devnet) -> Iterator[Devnet]:
    with rolled_back(delegated) as devnet:
        yield devnet


def paying(devnet: Devnet, number: int, recipient: str, gas: int = LIMIT) -> BatchedCall:
    data = devnet.transfer(number, int(recipient, 16))._encode_transaction_data()
    call = Call(to=devnet.registry.address, data=bytes.fromhex(data[2:]), value=AMOUNT)
    return BatchedCall(call=call, gas=Gas(gas), may_fail=True)


def send(devnet: Devnet, calls: Sequence[BatchedCall], gas: int | None = None) -> TxReceipt:
    maker = devnet.deployment.market_maker
    call = batch(maker, calls)
    limit = batch_gas(calls) if gas is None else gas
    tx = {"from": maker, "to": maker, "data": call.data, "gas": limit}
    return mined(devnet.l1, devnet.l1.eth.send_transaction(tx))


def paid(devnet: Devnet, receipt: TxReceipt) -> list[int]:
    events = devnet.registry.events.Transfer().process_receipt(receipt, errors=DISCARD)
    return [event["args"]["orderId"] for event in events]


def failed(devnet: Devnet, receipt: TxReceipt) -> list[int]:
    return [
        int(log["data"].hex(), 16)
        for log in receipt["logs"]
        if (log["address"], bytes(log["topics"][0]))
        == (devnet.deployment.market_maker, CALL_FAILED)
    ]


def test_what_stands_on_chain_is_the_committed_code(devnet: Devnet) -> None:
    assert bytes(devnet.l1.eth.get_code(contract_address())) == runtime_code()


def test_it_can_be_deployed_only_once(devnet: Devnet) -> None:
    tx = {"from": STRANGER, "to": FACTORY, "data": deployment().data, "gas": 1_000_000}
    assert mined(devnet.l1, devnet.l1.eth.send_transaction(tx))["status"] == 0
    assert bytes(devnet.l1.eth.get_code(contract_address())) == runtime_code()


def test_each_recipient_is_paid_by_our_account(devnet: Devnet) -> None:
    recipients = [Account.create().address for _ in range(3)]
    receipt = send(devnet, [paying(devnet, n, r) for n, r in enumerate(recipients)])
    assert (receipt["status"], paid(devnet, receipt)) == (1, [0, 1, 2])
    events = devnet.registry.events.Transfer().process_receipt(receipt)
    assert {e["args"]["srcAddress"] for e in events} == {devnet.deployment.market_maker}
    assert [devnet.l1.eth.get_balance(r) for r in recipients] == [AMOUNT] * 3
    assert failed(devnet, receipt) == []


def test_one_that_rejects_or_burns_does_not_stop_the_others(devnet: Devnet) -> None:
    l1 = devnet.deployment.l1
    recipients = [l1.rejecting_recipient, STRANGER, l1.gas_burning_recipient, account(6).address]
    maker = devnet.deployment.market_maker
    before = devnet.l1.eth.get_balance(maker)
    receipt = send(devnet, [paying(devnet, n, r) for n, r in enumerate(recipients)])
    assert (paid(devnet, receipt), failed(devnet, receipt)) == ([1, 3], [0, 2])
    cost = receipt["gasUsed"] * receipt["effectiveGasPrice"]
    assert devnet.l1.eth.get_balance(maker) == before - 2 * AMOUNT - cost
    assert devnet.l1.eth.get_balance(devnet.registry.address) == 0


@pytest.mark.parametrize("limit", [100_000, 300_000, 1_000_000])
def test_who_burns_gas_burns_its_own_limit_and_no_more(devnet: Devnet, limit: int) -> None:
    burning = devnet.deployment.l1.gas_burning_recipient
    calls = [paying(devnet, 0, STRANGER), paying(devnet, 1, account(6).address)]
    snapshot = ask(devnet.l1, "evm_snapshot")
    without = send(devnet, calls)["gasUsed"]
    assert ask(devnet.l1, "evm_revert", snapshot)
    receipt = send(devnet, [calls[0], paying(devnet, 2, burning, gas=limit), calls[1]])
    assert (paid(devnet, receipt), failed(devnet, receipt)) == ([0, 1], [1])
    # beside its limit: 9000 of a call with value, the call's data, the log
    assert limit // 2 < receipt["gasUsed"] - without < limit + 20_000


def test_too_little_gas_reverts_all_and_looks_like_nobodys_refusal(devnet: Devnet) -> None:
    calls = [paying(devnet, n, account(6 + n).address) for n in range(3)]
    for gas in range(60_000, batch_gas(calls), 40_000):
        snapshot = ask(devnet.l1, "evm_snapshot")
        receipt = send(devnet, calls, gas=gas)
        assert paid(devnet, receipt) == ([0, 1, 2] if receipt["status"] else [])
        assert failed(devnet, receipt) == []
        assert ask(devnet.l1, "evm_revert", snapshot)
    assert send(devnet, calls)["status"] == 1


def test_a_call_that_may_not_fail_reverts_all_with_its_reason(devnet: Devnet) -> None:
    refused = paying(devnet, 1, devnet.deployment.l1.rejecting_recipient)
    required = BatchedCall(call=refused.call, gas=LIMIT, may_fail=False)
    calls = [paying(devnet, 0, STRANGER), required, paying(devnet, 2, STRANGER)]
    assert send(devnet, calls)["status"] == 0
    maker = devnet.deployment.market_maker
    with pytest.raises(ContractLogicError) as raised:
        devnet.l1.eth.call({"from": maker, "to": maker, "data": batch(maker, calls).data})
    assert "Transfer failed." in str(raised.value.message)


def test_nobody_but_the_account_makes_its_calls(devnet: Devnet) -> None:
    maker, call = devnet.deployment.market_maker, paying(devnet, 0, STRANGER)
    owner = devnet.deployment.l1.owner
    for to in (maker, contract_address()):
        for sender in (STRANGER, owner, devnet.registry.address):
            data = batch(Address(to), [call]).data
            with pytest.raises(ContractLogicError):
                devnet.l1.eth.call({"from": sender, "to": to, "data": data})
    assert devnet.l1.eth.get_storage_at(maker, 0) == bytes(32)


def test_the_account_takes_plain_ether_and_nothing_else(devnet: Devnet) -> None:
    l1, maker = devnet.l1, devnet.deployment.market_maker
    before = l1.eth.get_balance(maker)
    # what `transfer` and `send` of Solidity leave the receiver
    tx = {"from": STRANGER, "to": maker, "value": 7, "gas": 21_000 + 2_300}
    assert mined(l1, l1.eth.send_transaction(tx))["status"] == 1
    assert l1.eth.get_balance(maker) == before + 7
    # onERC721Received, onERC1155Received, isValidSignature, a word that nobody knows
    for selector in ("150b7a02", "f23a6e61", "1626ba7e", "deadbeef"):
        with pytest.raises(ContractLogicError):
            l1.eth.call({"from": STRANGER, "to": maker, "data": "0x" + selector + "00" * 160})
