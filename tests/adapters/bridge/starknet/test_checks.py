"""What the Starknet origin makes of an escrow's views before an order is paid."""

from typing import Any

import pytest

from mmbot_pipelines.adapters.bridge.starknet import escrow as abi
from mmbot_pipelines.bridge.orders.escrow_errors import EscrowNotOurs, EscrowPaused
from mmbot_pipelines.core.errors import Failure, Malformed, RpcRefused
from mmbot_pipelines.core.money import Address, Wei
from mmbot_pipelines.core.outbox import Fees
from tests.adapters.bridge.starknet.starknet_origin import origin
from tests.adapters.rpc.fake_node import Refusal
from tests.adapters.starknet.starknet_fakes import ORDER, StarknetFake

NO_ENTRYPOINT = int.from_bytes(b"ENTRYPOINT_NOT_FOUND")
FEES = Fees(base=Wei(10), priority=Wei(1), ceiling=Wei(21))


def test_a_good_order_passes(node: StarknetFake) -> None:
    assert origin(node).check([ORDER]) == [None]


@pytest.mark.parametrize(
    "no_such_view",
    [
        Refusal(21, "Requested entrypoint does not exist in the contract"),
        Refusal(40, "Contract error", {"revert_error": "ENTRYPOINT_NOT_FOUND"}),
        Refusal(40, "Contract error", {"revert_error": {"error": f"0x{NO_ENTRYPOINT:x}"}}),
    ],
)
def test_an_escrow_without_a_pause_counts_as_not_paused(
    node: StarknetFake, no_such_view: Refusal
) -> None:
    node.views[abi.PAUSED] = no_such_view
    assert origin(node).check([ORDER]) == [None]


def test_a_pause_that_cannot_be_read_passes_nothing(node: StarknetFake) -> None:
    node.views[abi.PAUSED] = Refusal(40, "Contract error", {"revert_error": "out of gas"})
    (failure,) = origin(node).check([ORDER])
    assert isinstance(failure, RpcRefused)
    assert "is_paused of the escrow" in str(failure)
    assert "out of gas" in str(failure)


@pytest.mark.parametrize(
    ("view", "answer", "kind"),
    [
        (abi.WALLET, [], EscrowNotOurs),
        (abi.WALLET, Refusal(20, "Contract not found"), RpcRefused),
        (abi.REGISTRY, [2**160], EscrowNotOurs),
        (abi.PAUSED, [2], EscrowNotOurs),
        (abi.GET_ORDER, [1, 2, 3], Malformed),
        (abi.GET_ORDER, [1, 2**128, 0, 0, 0], Malformed),
        (abi.GET_ORDER_PENDING, [7], Malformed),
        (abi.GET_ORDER_PENDING, Refusal(40, "Contract error", {"revert_error": "x"}), RpcRefused),
    ],
)
def test_a_view_that_answers_nonsense_passes_nothing(
    node: StarknetFake, view: int, answer: Any, kind: type[Failure]
) -> None:
    node.views[view] = answer
    (failure,) = origin(node).check([ORDER])
    assert isinstance(failure, kind)
    assert "\n" not in str(failure)


def test_what_cannot_be_priced_is_explained_by_the_escrow(node: StarknetFake) -> None:
    node.views[abi.PAUSED] = [1]
    with pytest.raises(EscrowPaused):
        origin(node).message_fee([ORDER], FEES)
    node.views[abi.PAUSED] = [0]
    with pytest.raises(RpcRefused, match="cannot be priced"):
        origin(node).message_fee([ORDER], FEES)


def test_an_address_is_compared_as_a_number(node: StarknetFake) -> None:
    short = Address("0xa11")
    assert origin(node, wallet=short).check([ORDER]) == [None]
