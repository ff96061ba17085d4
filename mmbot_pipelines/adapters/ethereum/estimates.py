"""Estimate the gas of calls by asking nodes (eth_estimateGas). Reads the chain.

The price that will be signed is part of the question: a contract can read it (GASPRICE), and
what it does at another price is no estimate.
"""

from collections.abc import Sequence

from mmbot_pipelines.adapters.ethereum import blocks, broadcast, reverts, wire
from mmbot_pipelines.adapters.ethereum.node import Answer, Question, RpcError
from mmbot_pipelines.adapters.ethereum.rpc import Rpc
from mmbot_pipelines.core.errors import Failure, OutOfFunds, RevertForeseen, RpcRefused
from mmbot_pipelines.core.money import Address, Gas, Wei, in_words
from mmbot_pipelines.core.outbox import Call, Fees

_MAX_GAS = 2**24  # of one transaction (EIP-7825)


def simulate(rpc: Rpc, wallet: Address, calls: Sequence[Call], fees: Fees) -> list[Gas | Failure]:
    """Return the gas limit to sign for each call, or why the call would fail.

    Raises:
        RpcUnavailable: no node answered.
        RpcRefused: a node refuses the newest block or the wallet's balance.
    """
    if not calls:
        return []
    asked = [_estimate(wallet, call, fees) for call in calls]
    balance, latest, *answers = rpc.batch([_balance(wallet), blocks.asked("latest"), *asked])
    if isinstance(balance, RpcError):
        raise RpcRefused(f"a node of {rpc.chain} refuses eth_getBalance: {balance}")
    funds = wire.quantity(balance)
    max_gas = min(blocks.told(latest, "latest", rpc.chain).gas_limit, _MAX_GAS)
    found = [
        _read(rpc, call, fees, answer, funds, max_gas)
        for call, answer in zip(calls, answers, strict=True)
    ]
    return _short_of_gas(rpc, wallet, calls, fees, found, funds, max_gas)


def _short_of_gas(
    rpc: Rpc,
    wallet: Address,
    calls: Sequence[Call],
    fees: Fees,
    found: Sequence[Gas | Failure],
    funds: int,
    max_gas: int,
) -> list[Gas | Failure]:
    """Tell a wallet that is short of gas from a call that reverts.

    Nodes give a call as much gas as the wallet can pay for. Too little of it makes a call
    revert that would not, so it is asked again without a price, which needs no money.
    """
    doubtful = [
        i
        for i, (call, result) in enumerate(zip(calls, found, strict=True))
        if isinstance(result, RevertForeseen) and funds < call.value + max_gas * fees.ceiling
    ]
    result = list(found)
    free = rpc.batch([("eth_estimateGas", (fields(wallet, calls[i]), "latest")) for i in doubtful])
    for i, answer in zip(doubtful, free, strict=True):
        if not isinstance(answer, RpcError):
            needed = calls[i].value + wire.quantity(answer) * fees.ceiling
            if needed > funds:
                result[i] = _short(needed, funds)
    return result


def fields(wallet: Address, call: Call) -> dict[str, str]:
    """Write a call from the wallet as JSON-RPC does, without gas and price."""
    return {
        "from": wallet,
        "to": call.to,
        "data": "0x" + call.data.hex(),
        "value": hex(call.value),
    }


def _balance(wallet: Address) -> Question:
    return "eth_getBalance", (wallet, "latest")


def _estimate(wallet: Address, call: Call, fees: Fees) -> Question:
    price = {"maxFeePerGas": hex(fees.ceiling), "maxPriorityFeePerGas": hex(fees.priority)}
    # Named, for some nodes count the pool in, where the same call may be waiting.
    return "eth_estimateGas", (fields(wallet, call) | price, "latest")


def _read(
    rpc: Rpc, call: Call, fees: Fees, answer: Answer, funds: int, max_gas: int
) -> Gas | Failure:
    if call.value > funds:
        return _short(call.value, funds)
    if not isinstance(answer, RpcError):
        gas = wire.quantity(answer)
        needed = call.value + gas * fees.ceiling  # not every node compares it with the balance
        if needed > funds:
            return _short(needed, funds)
        return Gas(max(gas, min(-(-gas * 5 // 4), max_gas)))
    why = reverts.reason(answer)
    if why is not None:
        return RevertForeseen(f"the call would revert: {why}")
    if broadcast.lacks_funds(answer):
        return OutOfFunds(f"the wallet cannot pay for the call: {answer}; send ETH to it")
    return RpcRefused(f"a node of {rpc.chain} refuses eth_estimateGas: {answer}")


def _short(needed: int, funds: int) -> OutOfFunds:
    return OutOfFunds(
        f"the wallet has {in_words(Wei(funds))}, the call takes {in_words(Wei(needed))}: "
        "send ETH to it"
    )
