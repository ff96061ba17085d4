"""Estimate the gas of calls by asking nodes (eth_estimateGas). Reads the chain.

The price that will be signed is part of the question: a contract can read it (GASPRICE), and
what it does at another price is no estimate. A quorum of nodes is asked, and the highest
estimate that they agree on is taken; an impossible one does not count.
"""

from collections.abc import Callable, Sequence

from mmbot_pipelines.adapters.evm import blocks, broadcast, quorum
from mmbot_pipelines.adapters.evm.signing import MAX_GAS, MIN_GAS
from mmbot_pipelines.adapters.rpc import decoding, reverts
from mmbot_pipelines.adapters.rpc.client import Poll, Rpc
from mmbot_pipelines.adapters.rpc.node import Answer, RpcCall, RpcError
from mmbot_pipelines.core.errors import Failure, InsufficientFunds, RpcRefused, SimulationReverted
from mmbot_pipelines.core.money import Address, Gas, Wei, format_ether
from mmbot_pipelines.core.outbox import Block, Call, Fees

# Per byte of calldata: EIP-2028, and the floor of EIP-7623.
_ZERO_BYTE, _OTHER_BYTE = 4, 16
_FLOOR_ZERO_BYTE, _FLOOR_OTHER_BYTE = 10, 40

# Honest nodes of different clients differ by less than this factor.
_MAX_SPREAD = 2

_Estimate = int | Failure  # the gas that a node estimates, or why there is none


def simulate(
    rpc: Rpc, wallet: Address, calls: Sequence[Call], fees: Fees, funds: Wei | None = None
) -> list[Gas | Failure]:
    """Return the gas limit to sign for each call, or why the call would fail.

    Where the nodes differ about a call, `RpcDisagrees` stands in its place.
    funds: the wallet's balance; read here where it is not given.

    Raises:
        RpcUnavailable: too few nodes gave answers that can be.
        RpcRefused: a node refuses the newest block or the wallet's balance.
    """
    if not calls:
        return []
    at = quorum.now(rpc)
    funds = balance(rpc, wallet, at) if funds is None else funds
    # A node that compares the balance with gas times price must not find too little.
    limits = [_affordable(call, fees, funds) for call in calls]
    priced: list[RpcCall] = [
        _rpc_call(wallet, call, at, gas=limit, fees=fees)
        for call, limit in zip(calls, limits, strict=True)
    ]
    found, max_gas = _ask(rpc, calls, priced, at)
    found = _short_of_gas(rpc, wallet, calls, fees, found, limits, funds, at)
    return [
        result
        if isinstance(result, Failure)
        else _with_headroom(call, result, fees, funds, max_gas)
        for call, result in zip(calls, found, strict=True)
    ]


def balance(rpc: Rpc, wallet: Address, at: Block | str) -> Wei:
    """Return the wallet's balance at a block, in wei, as a quorum of nodes shows it.

    Raises:
        RpcRefused: a node refuses it.
        RpcUnavailable: too few nodes answered, or they differ.
    """

    def parse(answer: Answer) -> Wei:
        if isinstance(answer, RpcError):
            raise RpcRefused(f"a node of {rpc.chain} refuses eth_getBalance: {answer}")
        return Wei(decoding.quantity(answer))

    rpc_call: RpcCall = ("eth_getBalance", (wallet, blocks.tag(at)))
    if isinstance(at, Block):
        return parse(quorum.read(rpc, [rpc_call], at)[0])
    return quorum.usable(rpc, [rpc_call], lambda poll: parse(poll.answers[0]))[0]


def fields(wallet: Address, call: Call) -> dict[str, str]:
    """Write a call from the wallet as JSON-RPC does, without gas and price."""
    return {
        "from": wallet,
        "to": call.to,
        "data": "0x" + call.data.hex(),
        "value": hex(call.value),
    }


def min_gas(call: Call) -> Gas:
    """Return the gas that the call takes before it does anything."""
    zeros = call.data.count(0)
    others = len(call.data) - zeros
    intrinsic = zeros * _ZERO_BYTE + others * _OTHER_BYTE
    floor = zeros * _FLOOR_ZERO_BYTE + others * _FLOOR_OTHER_BYTE
    return Gas(MIN_GAS + max(intrinsic, floor))


def _affordable(call: Call, fees: Fees, funds: int) -> int:
    return min(MAX_GAS, max(0, funds - call.value) // max(1, fees.ceiling))


def _rpc_call(
    wallet: Address, call: Call, at: Block | str, *, gas: int, fees: Fees | None
) -> RpcCall:
    asked = fields(wallet, call) | {"gas": hex(max(gas, MIN_GAS))}
    if fees is not None:
        asked["maxFeePerGas"] = hex(fees.ceiling)
        asked["maxPriorityFeePerGas"] = hex(fees.priority)
    # The block is named, for some nodes count the pool in, where the same call may be waiting.
    return "eth_estimateGas", (asked, blocks.tag(at))


def _ask(
    rpc: Rpc, calls: Sequence[Call], rpc_calls: Sequence[RpcCall], at: Block | str
) -> tuple[list[_Estimate], int]:
    """Return each call's estimate by a quorum of nodes, and the gas limit of a block."""
    header = blocks.header_call(at.number if isinstance(at, Block) else at)

    def read(poll: Poll) -> tuple[list[_Estimate], int]:
        latest, *answers = poll.answers
        limit = blocks.parse_header(
            latest, at.number if isinstance(at, Block) else at, rpc.chain
        ).gas_limit
        estimates = [_read(rpc, poll, c, a, limit) for c, a in zip(calls, answers, strict=True)]
        return estimates, limit

    polls = rpc.poll([header, *rpc_calls], enough=_enough(rpc, read))
    reported = _usable(polls, read)
    if len(reported) < rpc.quorum:
        for poll in polls:
            read(poll)  # raises what is wrong with one of them
    votes = zip(*(estimates for estimates, _ in reported), strict=True)
    found = [
        _agreed(list(vote), rpc.quorum) or _differ(rpc, call)
        for call, vote in zip(calls, votes, strict=True)
    ]
    return found, min(MAX_GAS, *(limit for _, limit in reported))


def _enough(
    rpc: Rpc, read: Callable[[Poll], tuple[list[_Estimate], int]]
) -> Callable[[Sequence[Poll]], bool]:
    def enough(polls: Sequence[Poll]) -> bool:
        reported = [estimates for estimates, _ in _usable(polls, read)]
        return len(reported) >= rpc.quorum and all(
            _agreed(list(vote), rpc.quorum) is not None for vote in zip(*reported, strict=True)
        )

    return enough


def _usable(
    polls: Sequence[Poll], read: Callable[[Poll], tuple[list[_Estimate], int]]
) -> list[tuple[list[_Estimate], int]]:
    found = []
    for poll in polls:
        try:
            found.append(read(poll))
        except Failure:
            continue
    return found


def _agreed(vote: Sequence[_Estimate], quorum: int) -> _Estimate | None:
    """Return the highest of a quorum of like estimates, or the failure that a quorum reports."""
    estimates = sorted(v for v in vote if not isinstance(v, Failure))
    for lowest in estimates:
        alike = [gas for gas in estimates if lowest <= gas <= _MAX_SPREAD * lowest]
        if len(alike) >= quorum:
            return alike[-1]
    failures = [v for v in vote if isinstance(v, Failure)]
    for failure in failures:
        if sum(type(other) is type(failure) for other in failures) >= quorum:
            return failure
    return None


def _differ(rpc: Rpc, call: Call) -> Failure:
    return quorum.RpcDisagrees(
        f"the nodes of {rpc.chain} estimate the gas of a call to {call.to} too differently: "
        f"it is not sent until they agree; take the wrong one out of "
        f"MMBOT_{rpc.chain.upper()}_RPC_URLS"
    )


def _read(rpc: Rpc, poll: Poll, call: Call, answer: Answer, block_limit: int) -> _Estimate:
    """Read one node's estimate.

    Raises:
        InvalidResponse: no transaction can take so little, or so much.
    """
    if not isinstance(answer, RpcError):
        gas = decoding.quantity(answer)
        if not min_gas(call) <= gas <= min(MAX_GAS, block_limit):
            raise decoding.InvalidResponse(
                f"{poll.host} estimates {gas} gas for a call of {rpc.chain} that takes no less "
                f"than {min_gas(call)}, and a transaction at most {min(MAX_GAS, block_limit)}"
            )
        return gas
    why = reverts.reason(answer)
    if why is not None:
        return SimulationReverted(f"the call would revert: {why}")
    if broadcast.lacks_funds(answer):
        return InsufficientFunds(f"the wallet cannot pay for the call: {answer}; send ETH to it")
    return RpcRefused(f"a node of {rpc.chain} refuses eth_estimateGas: {answer}")


def _short_of_gas(
    rpc: Rpc,
    wallet: Address,
    calls: Sequence[Call],
    fees: Fees,
    found: list[_Estimate],
    limits: Sequence[int],
    funds: int,
    at: Block | str,
) -> list[_Estimate]:
    """Replace reverts that have no other cause than a wallet that is short of gas.

    Too little gas makes a call revert that would not. So what reverts with as much as the
    wallet can pay for is asked again with all that a transaction can have, at no price.
    """
    doubtful = [
        i
        for i, (result, limit) in enumerate(zip(found, limits, strict=True))
        if isinstance(result, Failure) and limit < MAX_GAS and calls[i].value <= funds
    ]
    if doubtful:
        some = [calls[i] for i in doubtful]
        free = [_rpc_call(wallet, call, at, gas=MAX_GAS, fees=None) for call in some]
        for i, result in zip(doubtful, _ask(rpc, some, free, at)[0], strict=True):
            needed = 0 if isinstance(result, Failure) else calls[i].value + result * fees.ceiling
            if needed > funds:
                found[i] = _short(needed, funds)
    return [
        _short(call.value, funds) if call.value > funds else result
        for call, result in zip(calls, found, strict=True)
    ]


def _with_headroom(call: Call, gas: int, fees: Fees, funds: int, max_gas: int) -> Gas | Failure:
    """Add a quarter, for the state that changes until the call is mined."""
    needed = call.value + gas * fees.ceiling
    if needed > funds:
        return _short(needed, funds)
    return Gas(max(gas, min(-(-gas * 5 // 4), max_gas)))


def _short(needed: int, funds: int) -> InsufficientFunds:
    return InsufficientFunds(
        f"the wallet has {format_ether(Wei(funds))}, the call takes {format_ether(Wei(needed))}: "
        "send ETH to it"
    )
