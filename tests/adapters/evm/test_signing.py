"""Signatures, and the key that nobody sees."""

import copy
import pickle

import pytest
from eth_account import Account
from eth_account.typed_transactions import TypedTransaction
from hexbytes import HexBytes
from hypothesis import given
from hypothesis import strategies as st

from mmbot_pipelines.adapters.evm.signing import LocalSigner, sign, sign_delegation
from mmbot_pipelines.adapters.rpc.decoding import InvalidResponse
from mmbot_pipelines.core.errors import InvalidSettings
from mmbot_pipelines.core.money import Address, Gas, Wei
from mmbot_pipelines.core.outbox import Call, Fees

KEY = "0x" + "4c" * 32
TO = Address("0x70997970C51812dc3A010C7d01b50e0d17dc79C8")
TARGET = Address("0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC")
UINT64 = st.integers(0, 2**64 - 1)
GAS = st.integers(21_000, 2**24)
WEI = st.integers(0, 2**256 - 1)


def signer() -> LocalSigner:
    return LocalSigner(KEY)


@given(data=st.binary(max_size=100), value=WEI, nonce=UINT64, gas=GAS, priority=WEI, ceiling=WEI)
def test_signature_is_the_one_of_eth_account(
    data: bytes, value: int, nonce: int, gas: int, priority: int, ceiling: int
) -> None:
    fees = Fees(base=Wei(1), priority=Wei(priority), ceiling=Wei(ceiling))
    call = Call(to=TO, data=data, value=Wei(value))
    ours = sign(signer(), call, chain_id=324, nonce=nonce, gas=Gas(gas), fees=fees)
    theirs = Account.from_key(KEY).sign_transaction(
        {
            "type": 2,
            "chainId": 324,
            "nonce": nonce,
            "gas": gas,
            "maxPriorityFeePerGas": priority,
            "maxFeePerGas": ceiling,
            "to": TO,
            "value": value,
            "data": data,
        }
    )
    assert ours.raw == bytes(theirs.raw_transaction)
    assert ours.hash == theirs.hash.to_0x_hex()
    TypedTransaction.from_bytes(HexBytes(ours.raw))
    assert Account.recover_transaction(ours.raw) == signer().address


@given(data=st.binary(max_size=100), nonce=st.integers(0, 2**64 - 2), gas=GAS, ceiling=WEI)
def test_a_delegation_is_signed_as_eth_account_does(
    data: bytes, nonce: int, gas: int, ceiling: int
) -> None:
    fees = Fees(base=Wei(1), priority=Wei(0), ceiling=Wei(ceiling))
    call = Call(to=TO, data=data, value=Wei(0))
    given = {"chain_id": 1, "nonce": nonce, "gas": Gas(gas), "fees": fees}
    ours = sign_delegation(signer(), TARGET, call, **given)
    account = Account.from_key(KEY)
    # of the next nonce: the transaction's own is used up when it is looked at
    authorization = account.sign_authorization(
        {"chainId": 1, "address": TARGET, "nonce": nonce + 1}
    )
    theirs = account.sign_transaction(
        {
            "type": 4,
            "chainId": 1,
            "nonce": nonce,
            "gas": gas,
            "maxPriorityFeePerGas": 0,
            "maxFeePerGas": ceiling,
            "to": TO,
            "value": 0,
            "data": data,
            "authorizationList": [authorization],
        }
    )
    assert (ours.raw, ours.hash) == (bytes(theirs.raw_transaction), theirs.hash.to_0x_hex())


@pytest.mark.parametrize("gas", [0, 1, 20_999, 2**24 + 1, 2**64 - 1])
def test_gas_that_no_transaction_can_have_is_never_signed(gas: int) -> None:
    fees = Fees(base=Wei(1), priority=Wei(1), ceiling=Wei(3))
    with pytest.raises(InvalidResponse, match="nothing is signed with"):
        sign(
            signer(),
            Call(to=TO, data=b"", value=Wei(0)),
            chain_id=1,
            nonce=0,
            gas=Gas(gas),
            fees=fees,
        )


def test_key_is_accepted_with_and_without_prefix() -> None:
    assert LocalSigner(KEY).address == LocalSigner(KEY[2:]).address


@pytest.mark.parametrize("key", ["", "0x", "hunter2" * 9, KEY[:-1], KEY + "00", "0x" + "00" * 32])
def test_bad_key_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(InvalidSettings) as raised:
        LocalSigner(key)
    assert raised.value.__context__ is None
    assert not key.strip("0x") or key.strip("0x") not in str(raised.value)


def test_key_is_not_shown_and_does_not_leave() -> None:
    ours = signer()
    assert "4c4c" not in f"{ours!r} {ours} {vars(ours)}"
    for leave in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="does not leave"):
            leave(ours)
