"""The compiled ABIs are the deployed protocol's: selectors, topics, types, to the letter."""

from typing import Any

import pytest
from eth_utils.abi import (
    abi_to_signature,
    collapse_if_tuple,
    event_abi_to_log_topic,
    function_abi_to_4byte_selector,
)

from mmbot_pipelines.devnet.artifacts import artifact

FUNCTIONS = {
    "PaymentRegistry": {
        "transfer(uint256,uint256,uint8)": (0xD71B8AF0, "payable"),
        "claimPayment(uint256,uint256,uint256)": (0xC1F9789A, "payable"),
        "claimPaymentZKSync(uint256,uint256,uint256,uint256,uint256)": (0x0B5E4F1A, "payable"),
        "transfers(bytes32)": (0x3C64F04B, "view"),
        "marketMaker()": (0x1F21F9AF, "view"),
        "setMMAddress(address)": (0xA7139611, "nonpayable"),
    },
    "PaymentRegistryV2": {
        "transfer(uint256,address,uint128)": (0x76B5EDDC, "payable"),
        "claimPaymentStarknet(uint256,address,uint256)": (0x1885D25E, "payable"),
        "claimPaymentBatchStarknet(uint256[],address[],uint256[])": (0x0A21F170, "payable"),
        "claimPaymentZKSync(uint256,address,uint256,uint256,uint256)": (0x8C23704D, "payable"),
        "claimPaymentBatchZKSync(uint256[],address[],uint256[],uint256,uint256)": (
            0xB2321572,
            "payable",
        ),
        "transfers(bytes32)": (0x3C64F04B, "view"),
        "marketMaker()": (0x1F21F9AF, "view"),
        "setMMAddress(address)": (0xA7139611, "nonpayable"),
    },
    "Escrow": {
        "set_order(address,uint256)": (0x12FE8E17, "payable"),
        "get_order(uint256)": (0x5FCB317C, "view"),
        "is_order_pending(uint256)": (0x5A5D0A17, "view"),
        "claim_payment(uint256,address,uint256)": (0xA5168739, "nonpayable"),
        "ethereum_payment_registry()": (0xE2B2E23F, "view"),
        "mm_zksync_wallet()": (0x4C034FE0, "view"),
    },
    "ZkSyncDiamond": {
        "requestL2Transaction(address,uint256,bytes,uint256,uint256,bytes[],address)": (
            0xEB672419,
            "payable",
        ),
    },
}

EVENTS = {
    "PaymentRegistry": {
        "Transfer(uint256,address,(uint256,uint256,bool,uint8))": (
            0xA021626D9973EAECFBEB0E17352F56E3E9B32891F48C11CC1C2C248A2559F79A,
            [True, False, False],
        ),
        "ClaimPayment((uint256,uint256,bool,uint8))": (
            0xFA14B57AAE01DABBDF4C90231F1F49BB52566FA986BB22B81214A82D0E8D9731,
            [False],
        ),
    },
    "PaymentRegistryV2": {
        "Transfer(uint256,address,address,uint256,uint128)": (
            0x518415589D99AA369FD185C0E5C8E121CC117D365EEA9D4F322FFA352B82FF36,
            [True, False, False, False, False],
        ),
        "ClaimPayment(uint256,address,uint256,uint128)": (
            0x9B37AA3B3CCD712D4F1F38E0D3633191B3279BC495A91348D5E6E6E862E08A7C,
            [True, False, False, False],
        ),
        "ClaimPaymentBatch(uint256[],address[],uint256[],uint128)": (
            0xB9492E7BF9B06708266CAA2B61513011B6164E9A5613A98B4B28822330685B36,
            [False] * 4,
        ),
    },
    "ZkSyncDiamond": {
        "NewPriorityRequest(uint256,bytes32,uint64,"
        "(uint256,uint256,uint256,uint256,uint256,uint256,uint256,uint256,uint256,uint256,"
        "uint256[4],bytes,bytes,uint256[],bytes,bytes),bytes[])": (
            0x4531CD5795773D7101C17BDEB9F5AB7F47D7056017506F937083BE5D6E77A382,
            [False] * 5,
        ),
    },
    "L2BaseToken": {
        "Mint(address,uint256)": (
            0x0F6798A560793A54C3BCFE86A93CDE1E73087D944C0EA20544137D4121396885,
            [True, False],
        ),
    },
    "Escrow": {
        "SetOrder(uint256,address,uint256,uint256)": (
            0x0DDA38F349344FC4DD0C4D86E05DB4F03805A23302D0307980837419E2C2772A,
            [False] * 4,
        ),
        "ClaimPayment(uint256,address,uint256)": (
            0x55188540052A206E959FA07E62A5F0542065989DCF08853E21B5668C778E4605,
            [False] * 3,
        ),
    },
}

OUTPUTS = {
    ("PaymentRegistry", "transfers(bytes32)"): "uint256,uint256,bool,uint8",
    ("Escrow", "set_order(address,uint256)"): "uint256",
    ("Escrow", "get_order(uint256)"): "address,uint256,uint256",
    ("Escrow", "is_order_pending(uint256)"): "bool",
    ("Escrow", "paused()"): "bool",
    ("ZkSyncDiamond", "l2TransactionBaseCost(uint256,uint256,uint256)"): "uint256",
}


def items(contract: str, kind: str) -> dict[str, Any]:
    return {abi_to_signature(i): i for i in artifact(contract)["abi"] if i["type"] == kind}


@pytest.mark.parametrize("contract", FUNCTIONS)
def test_functions_have_the_deployed_selectors(contract: str) -> None:
    compiled = items(contract, "function")
    for signature, (selector, mutability) in FUNCTIONS[contract].items():
        function = compiled[signature]
        assert int.from_bytes(function_abi_to_4byte_selector(function)) == selector
        assert function["stateMutability"] == mutability


@pytest.mark.parametrize("contract", EVENTS)
def test_events_have_the_deployed_topics(contract: str) -> None:
    compiled = items(contract, "event")
    assert compiled.keys() - {"Upgraded(address)"} == EVENTS[contract].keys()  # the proxy's own
    for signature, (topic, indexed) in EVENTS[contract].items():
        event = compiled[signature]
        assert int.from_bytes(event_abi_to_log_topic(event)) == topic
        assert [field["indexed"] for field in event["inputs"]] == indexed


@pytest.mark.parametrize(("contract", "signature"), OUTPUTS)
def test_functions_return_the_deployed_types(contract: str, signature: str) -> None:
    outputs = items(contract, "function")[signature]["outputs"]
    assert ",".join(map(collapse_if_tuple, outputs)) == OUTPUTS[contract, signature]
