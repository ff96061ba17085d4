"""The registry behaves on a chain as the deployed one (chain_facts.md)."""

from collections.abc import Iterator

import pytest
from eth_utils import keccak
from web3 import Web3
from web3.contract import Contract
from web3.contract.contract import ContractFunction
from web3.exceptions import ContractCustomError, ContractLogicError

from mmbot_pipelines.devnet.artifacts import deploy, send
from tests.devnet.bridge import (
    ETHER,
    GAS_PER_PUBDATA,
    L2_GAS_LIMIT,
    STARKNET,
    STRANGER,
    UINT256_MAX,
    ZKSYNC,
    Devnet,
    force,
    refusal,
    rolled_back,
)

RECIPIENT = 0x70997970C51812DC3A010C7D01B50E0D17DC79C8  # of the check vector
VECTOR_KEY = 0x64EDB34A55CFCFA9C1EBC98679F7553D20A4C14305A4A044DF430FD60527C87C
CLAIM_SELECTOR = 0x3636C566F6409560D55D5F6D1EB4EE163B096B4698C503E69E210BE79DE2AFA


@pytest.fixture
def devnet(fresh: Devnet) -> Iterator[Devnet]:
    with rolled_back(fresh) as devnet:
        yield devnet


@pytest.fixture
def maker(devnet: Devnet) -> str:
    return devnet.deployment.market_maker


def key(order_id: int, dest: int, amount: int, chain: int) -> bytes:
    packed = b"".join(n.to_bytes(32) for n in (order_id, dest, amount)) + chain.to_bytes(1)
    assert len(packed) == 97
    return keccak(packed)


def unauthorized(call: ContractFunction, sender: str) -> bool:
    """Return whether the registry reverts with its custom error, as the deployed one does."""
    with pytest.raises(ContractCustomError) as refused:
        call.call({"from": sender})
    selector = keccak(text="OwnableUnauthorizedAccount(address)")[:4].hex()
    return str(refused.value.data).startswith("0x" + selector)


# --- transfer


def test_transfer_key_is_the_check_vector(devnet: Devnet, maker: str) -> None:
    assert int.from_bytes(key(0, RECIPIENT, ETHER, STARKNET)) == VECTOR_KEY
    transfers = devnet.registry.functions.transfers
    assert transfers(VECTOR_KEY.to_bytes(32)).call() == [0, 0, False, 0]
    send(devnet.transfer(0, RECIPIENT, STARKNET), sender=maker, value=ETHER)
    assert transfers(VECTOR_KEY.to_bytes(32)).call() == [RECIPIENT, ETHER, True, STARKNET]


@pytest.mark.parametrize("order_id", [0, 2**128, UINT256_MAX])
@pytest.mark.parametrize("chain", [STARKNET, ZKSYNC])
def test_transfer_is_kept_under_its_key(
    devnet: Devnet, maker: str, order_id: int, chain: int
) -> None:
    send(devnet.transfer(order_id, RECIPIENT, chain), sender=maker, value=7)
    stored = devnet.registry.functions.transfers(key(order_id, RECIPIENT, 7, chain)).call()
    assert stored == [RECIPIENT, 7, True, chain]


def test_transfer_event_on_the_wire(devnet: Devnet, maker: str) -> None:
    receipt = send(devnet.transfer(9, RECIPIENT), sender=maker, value=7)
    (log,) = receipt["logs"]
    topic = 0xA021626D9973EAECFBEB0E17352F56E3E9B32891F48C11CC1C2C248A2559F79A
    assert [int.from_bytes(t) for t in log["topics"]] == [topic, 9]
    fields = [int(maker, 16), RECIPIENT, 7, 1, ZKSYNC]
    assert log["data"] == b"".join(word.to_bytes(32) for word in fields)


def test_the_owner_may_pay_too(devnet: Devnet) -> None:
    owner = devnet.deployment.l1.owner
    assert send(devnet.transfer(1, RECIPIENT), sender=owner, value=7)["status"] == 1


@pytest.mark.parametrize(
    ("dest", "value", "reason"),
    [
        (0, 7, "Invalid destination address."),
        (RECIPIENT, 0, "Invalid amount, should be higher than 0."),
    ],
)
def test_transfer_refuses(devnet: Devnet, maker: str, dest: int, value: int, reason: str) -> None:
    assert refusal(devnet.transfer(1, dest), sender=maker, value=value) == reason


def test_a_destination_above_160_bits_is_cut_silently(devnet: Devnet, maker: str) -> None:
    before = devnet.l1.eth.get_balance(STRANGER)
    send(devnet.transfer(1, 2**160 + int(STRANGER, 16)), sender=maker, value=7)
    assert devnet.l1.eth.get_balance(STRANGER) == before + 7


def test_transfer_refuses_an_unknown_chain(devnet: Devnet, maker: str) -> None:
    data = Web3.to_bytes(0xD71B8AF0) + b"".join(n.to_bytes(32) for n in (1, RECIPIENT, 2))
    call = {"from": maker, "to": devnet.registry.address, "data": data, "value": 7}
    with pytest.raises(ContractLogicError):
        devnet.l1.eth.call(call)


def test_transfer_refuses_the_same_order_twice(devnet: Devnet, maker: str) -> None:
    call = devnet.transfer(1, int(STRANGER, 16))
    before = devnet.l1.eth.get_balance(STRANGER)
    send(call, sender=maker, value=7)
    assert refusal(call, sender=maker, value=7) == "Transfer already processed."
    assert force(call, sender=maker, value=7)["status"] == 0
    assert devnet.l1.eth.get_balance(STRANGER) == before + 7


def test_only_owner_or_market_maker_pays_and_claims(devnet: Devnet) -> None:
    reason = "Only Owner or MM can call this function"
    starknet_claim = devnet.registry.functions.claimPayment(1, RECIPIENT, 7)
    for call in (devnet.transfer(1, RECIPIENT), starknet_claim):
        assert refusal(call, sender=STRANGER, value=7) == reason
    assert refusal(devnet.claim_call(1, RECIPIENT, 7), sender=STRANGER, value=7) == reason


def test_a_new_market_maker_takes_over(devnet: Devnet, maker: str) -> None:
    change = devnet.registry.functions.setMMAddress(STRANGER)
    assert unauthorized(change, maker)
    send(change, sender=devnet.deployment.l1.owner)
    assert devnet.registry.functions.marketMaker().call() == STRANGER
    send(devnet.transfer(1, RECIPIENT), sender=STRANGER, value=7)
    assert refusal(devnet.transfer(2, RECIPIENT), sender=maker, value=7).startswith("Only Owner")


# --- hostile recipients


def test_a_rejecting_recipient_fails_the_transfer(devnet: Devnet, maker: str) -> None:
    rejecting = devnet.deployment.l1.rejecting_recipient
    with pytest.raises(ContractLogicError, match="no thanks"):
        devnet.l1.eth.call({"from": maker, "to": rejecting, "value": 7})
    call = devnet.transfer(1, int(rejecting, 16))
    assert refusal(call, sender=maker, value=7) == "Transfer failed."
    assert force(call, sender=maker, value=7)["status"] == 0
    stored = devnet.registry.functions.transfers(key(1, int(rejecting, 16), 7, ZKSYNC)).call()
    assert stored == [0, 0, False, 0]


def test_a_gas_burning_recipient_fails_the_transfer_and_takes_the_gas(
    devnet: Devnet, maker: str
) -> None:
    call = devnet.transfer(1, int(devnet.deployment.l1.gas_burning_recipient, 16))
    assert refusal(call, sender=maker, value=7, gas=500_000) == "Transfer failed."
    receipt = force(call, sender=maker, value=7)
    assert receipt["status"] == 0
    assert receipt["gasUsed"] > 480_000


@pytest.fixture
def reentrant(devnet: Devnet) -> Contract:
    registry = devnet.registry.address
    return deploy(devnet.l1, "ReentrantRecipient", registry, sender=devnet.deployment.l1.owner)


def test_reentry_is_refused_even_to_the_market_maker(devnet: Devnet, reentrant: Contract) -> None:
    owner = devnet.deployment.l1.owner
    send(devnet.registry.functions.setMMAddress(reentrant.address), sender=owner)
    send(reentrant.functions.attack(1, ZKSYNC), sender=STRANGER, value=7)
    assert reentrant.functions.attempts().call() == 1
    assert reentrant.functions.successes().call() == 0
    assert reentrant.functions.refusal().call() == "Transfer already processed."
    assert devnet.l1.eth.get_balance(reentrant.address) == 7
    assert len(devnet.registry.events.Transfer().get_logs(from_block=0)) == 1


def test_reentry_by_a_mere_recipient_is_not_allowed(
    devnet: Devnet, maker: str, reentrant: Contract
) -> None:
    send(reentrant.functions.arm(1, ZKSYNC), sender=STRANGER)
    send(devnet.transfer(1, int(reentrant.address, 16)), sender=maker, value=7)
    assert reentrant.functions.attempts().call() == 1
    assert reentrant.functions.refusal().call() == "Only Owner or MM can call this function"
    assert devnet.l1.eth.get_balance(reentrant.address) == 7


# --- claims on L1


@pytest.mark.parametrize(
    ("order_id", "dest", "amount"),
    [(2, RECIPIENT, 7), (1, RECIPIENT + 1, 7), (1, RECIPIENT, 8)],
)
def test_claim_needs_its_very_transfer(
    devnet: Devnet, maker: str, order_id: int, dest: int, amount: int
) -> None:
    send(devnet.transfer(1, RECIPIENT, ZKSYNC), sender=maker, value=7)
    call = devnet.claim_call(order_id, dest, amount)
    assert refusal(call, sender=maker, value=ETHER) == "Transfer not found."


def test_claim_needs_a_transfer_of_its_chain(devnet: Devnet, maker: str) -> None:
    send(devnet.transfer(1, RECIPIENT, ZKSYNC), sender=maker, value=7)
    send(devnet.transfer(2, RECIPIENT, STARKNET), sender=maker, value=7)
    starknet_claim = devnet.registry.functions.claimPayment(1, RECIPIENT, 7)
    assert refusal(starknet_claim, sender=maker, value=1) == "Transfer not found."
    call = devnet.claim_call(2, RECIPIENT, 7)
    assert refusal(call, sender=maker, value=ETHER) == "Transfer not found."


def test_claim_on_zksync_asks_the_diamond(devnet: Devnet, maker: str) -> None:
    send(devnet.transfer(3, RECIPIENT), sender=maker, value=7)
    receipt = send(devnet.claim_call(3, RECIPIENT, 7), sender=maker, value=ETHER)
    claimed = devnet.registry.events.ClaimPayment().process_log(receipt["logs"][1])
    assert dict(claimed["args"]["transferInfo"]) == {
        "destAddress": RECIPIENT,
        "amount": 7,
        "isUsed": True,
        "chainId": ZKSYNC,
    }
    asked = devnet.diamond.events.NewPriorityRequest().process_log(receipt["logs"][0])["args"]
    fields = b"".join(n.to_bytes(32) for n in (3, RECIPIENT, 7))
    assert asked["txId"] == 0
    price = devnet.base_cost(receipt["effectiveGasPrice"]) // L2_GAS_LIMIT
    assert dict(asked["transaction"]) == {
        "txType": 255,
        "from": int(devnet.deployment.zksync.aliased_registry, 16),
        "to": int(devnet.escrow.address, 16),
        "gasLimit": L2_GAS_LIMIT,
        "gasPerPubdataByteLimit": GAS_PER_PUBDATA,
        "maxFeePerGas": price,
        "maxPriorityFeePerGas": 0,
        "paymaster": 0,
        "nonce": 0,
        "value": 0,
        "reserved": [ETHER, int(maker, 16), 0, 0],
        "data": Web3.to_bytes(0xA5168739) + fields,
        "signature": b"",
        "factoryDeps": [],
        "paymasterInput": b"",
        "reservedDynamic": b"",
    }


def test_a_claim_may_be_repeated_as_a_request_of_its_own(devnet: Devnet, maker: str) -> None:
    send(devnet.transfer(3, RECIPIENT), sender=maker, value=7)
    for _ in range(2):
        send(devnet.claim_call(3, RECIPIENT, 7), sender=maker, value=ETHER)
    requests = devnet.diamond.events.NewPriorityRequest().get_logs(from_block=0)
    assert [r["args"]["txId"] for r in requests] == [0, 1]
    assert len({r["args"]["txHash"] for r in requests}) == 2


def test_claim_on_starknet_sends_the_message(devnet: Devnet, maker: str) -> None:
    owner, escrow = devnet.deployment.l1.owner, 0x5A5A
    core = deploy(devnet.l1, "StarknetMessaging", sender=owner)
    wire = devnet.registry.functions.setStarknet(core.address, escrow, CLAIM_SELECTOR)
    assert unauthorized(wire, maker)
    send(wire, sender=owner)
    order_id, amount = 2**200 + 5, 2**60
    send(devnet.transfer(order_id, RECIPIENT, STARKNET), sender=maker, value=amount)
    call = devnet.registry.functions.claimPayment(order_id, RECIPIENT, amount)
    send(call, sender=maker, value=12345)
    (message,) = core.events.LogMessageToL2().get_logs(from_block=0)
    assert dict(message["args"]) == {
        "fromAddress": devnet.registry.address,
        "toAddress": escrow,
        "selector": CLAIM_SELECTOR,
        "payload": [5, 2**72, RECIPIENT, amount, 0],
        "nonce": 0,
        "fee": 12345,
    }
    assert devnet.l1.eth.get_balance(core.address) == 12345
