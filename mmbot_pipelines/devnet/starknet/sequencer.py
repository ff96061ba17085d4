"""Puts transactions into the local Starknet's blocks: genesis, admission, execution, reorgs."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from typing import TypeVar

from starknet_py.cairo.felt import encode_shortstring
from starknet_py.net.models.transaction import InvokeV3

from mmbot_pipelines.devnet.starknet.chain import (
    Executed,
    L1Message,
    StarknetBlock,
    StarknetChain,
    State,
)
from mmbot_pipelines.devnet.starknet.contracts import (
    ACCOUNT,
    ESCROW,
    ESCROW_ADDRESS,
    EXECUTE,
    VALIDATE,
    development_keys,
)
from mmbot_pipelines.devnet.starknet.execution import (
    ExecutionReverted,
    ExecutionState,
    Frame,
    NoContract,
    NoEntryPoint,
)
from mmbot_pipelines.devnet.starknet.felt import felt, pseudo_hash, selector_of
from mmbot_pipelines.devnet.starknet.gas import GAS, PRICES, estimate, fee, in_fri
from mmbot_pipelines.devnet.starknet.rpc import ErrorResponse
from mmbot_pipelines.devnet.starknet.token import ETH, STRK, TOKEN, move

CHAIN_ID = encode_shortstring("SN_DEVNET")
SEQUENCER_ADDRESS = pseudo_hash("contract", "Sequencer")
OWNER, MARKET_MAKER, *USERS = (development_keys(number) for number in range(5))
_ALLOWANCE = 10**6 * 10**18  # wei and fri that every account begins with
T = TypeVar("T")


def genesis(registry: int) -> State:
    """Return the state of block 0. registry: PaymentRegistry on L1."""
    state: State = {("class", ETH): TOKEN, ("class", STRK): TOKEN}
    state |= {
        ("class", ESCROW_ADDRESS): ESCROW,
        (ESCROW_ADDRESS, "registry"): registry,
        (ESCROW_ADDRESS, "wallet"): MARKET_MAKER.address,
        (ETH, "allowances", OWNER.address, ESCROW_ADDRESS): 2**256 - 1,
    }
    for key in (OWNER, MARKET_MAKER, *USERS):
        state["class", key.address] = ACCOUNT
        state[key.address, "public_key"] = key.public_key
        state |= {(token, "balances", key.address): _ALLOWANCE for token in (ETH, STRK)}
    return state


class Sequencer:
    """Run transactions on the chain, or only see what they would do."""

    def __init__(self, registry: int = 0, *, l1_depth: int = 10) -> None:
        """registry: PaymentRegistry on L1. l1_depth: blocks on top of one that L1 accepted."""
        self.prices = dict(PRICES)
        self.chain = StarknetChain(genesis(registry), l1_depth)
        self._unsigned_ids = count()

    def submit(self, tx: InvokeV3, *, validate: bool = True) -> int:
        """Execute an account's transaction in the block being built, and return its hash.

        Raises:
            RpcError: it is refused, as `starknet_addInvokeTransaction` publishes.
        """
        tx_hash = tx.calculate_hash(CHAIN_ID)
        if self.chain.knows(tx_hash):
            raise ErrorResponse("DUPLICATE_TX")
        execution = ExecutionState(self.chain.building.state, tx_hash, tx.signature)
        if (fault := _nonce_fault(execution, tx)) is not None:
            raise ErrorResponse("INVALID_TRANSACTION_NONCE", fault)
        if validate:
            self._check_fee(execution, tx)
            try:
                execution.call(0, tx.sender_address, VALIDATE, tx.calldata)
            except ExecutionReverted as e:
                raise ErrorResponse("VALIDATION_FAILURE", e.text()) from e
        execution.writes["nonce", tx.sender_address] = tx.nonce + 1
        revert = None
        try:
            execution.call(0, tx.sender_address, EXECUTE, tx.calldata)
        except ExecutionReverted as e:
            revert = e
        gas = _gas(execution, tx.calldata)
        paid = min(
            fee(gas, in_fri(self.prices)), execution.read(STRK, "balances", tx.sender_address)
        )
        strk = Frame(execution, STRK, tx.sender_address)
        move(strk, tx.sender_address, SEQUENCER_ADDRESS, paid)
        again = partial(self.submit, tx, validate=False)
        self._add(tx_hash, execution, again, gas=gas, fee=paid, revert=revert)
        return tx_hash

    def act(self, function: str, *calldata: int, to: int = ESCROW_ADDRESS) -> list[int]:
        """Call a function as a development account, without signature and fee.

        Raises:
            Reverted: it failed; nothing happened.
        """
        selector = selector_of(function)
        return self._unsigned(lambda e: e.call(OWNER.address, to, selector, calldata))

    def store(self, variable: str, *keys: int, value: int, of: int = ESCROW_ADDRESS) -> None:
        """Write a contract's storage, which is nobody's right on a real chain."""
        self._unsigned(lambda e: e.writes.update({(of, variable, *keys): value}))

    def emit(self, keys: Sequence[int], data: Sequence[int]) -> None:
        """Emit an event of any shape from the escrow's address."""
        self._unsigned(lambda e: Frame(e, ESCROW_ADDRESS, 0).emit(keys, data))

    def deliver(self, message: L1Message, failure: str | None = None) -> int:
        """Execute an L1 message's handler in the block being built, and return its hash.

        A handler that reverts is included as reverted; `failure` makes it so.
        """
        execution, revert = ExecutionState(self.chain.building.state), None
        try:
            if failure is not None:
                raise ExecutionReverted(failure)
            _handle(execution, message)
        except ExecutionReverted as e:
            revert = e
        again = partial(self.deliver, message, failure)
        gas = _gas(execution, message.payload, from_l1=True)
        self._add(message.handler, execution, again, gas=gas, revert=revert, message=message)
        return message.handler

    def reorg(self, depth: int, replay: bool = False) -> None:
        """Drop the last `depth` blocks and the one being built, as far as L1 has not accepted them.

        With `replay` their transactions come back in new blocks, hashes changed.
        """
        dropped = self.chain.drop(depth)
        for block in dropped if replay else []:
            for executed in block.transactions:
                executed.replay()
            if block is not dropped[-1]:
                self.chain.seal()

    def call(
        self, to: int, selector: int, calldata: Sequence[int], block: StarknetBlock
    ) -> list[int]:
        """Call a function of a contract and forget what it changed.

        Raises:
            RpcError: CONTRACT_NOT_FOUND, ENTRYPOINT_NOT_FOUND or CONTRACT_ERROR.
        """
        try:
            return ExecutionState(block.state).call(0, to, selector, calldata)
        except ExecutionReverted as e:
            if isinstance(e, NoEntryPoint) and len(e.frames) == 1:
                raise ErrorResponse("ENTRYPOINT_NOT_FOUND") from e
            raise _contract_error(e) from e

    def estimate_message(self, message: L1Message, block: StarknetBlock) -> dict[str, str]:
        """Return MESSAGE_FEE_ESTIMATE for a message sent now.

        Raises:
            RpcError: CONTRACT_NOT_FOUND, or CONTRACT_ERROR where the handler reverts.
        """
        execution = ExecutionState(block.state)
        try:
            _handle(execution, message)
        except ExecutionReverted as e:
            raise _contract_error(e) from e
        return estimate(_gas(execution, message.payload, from_l1=True), self.prices, "WEI")

    def estimate(self, tx: InvokeV3, block: StarknetBlock, *, validate: bool) -> dict[str, str]:
        """Return FEE_ESTIMATE for an account's transaction.

        Raises:
            RpcError: TRANSACTION_EXECUTION_ERROR.
        """
        execution = ExecutionState(block.state, tx.calculate_hash(CHAIN_ID), tx.signature)
        try:
            if (fault := _nonce_fault(execution, tx)) is not None:
                raise ExecutionReverted(fault)
            for entry_point in (VALIDATE, EXECUTE) if validate else (EXECUTE,):
                execution.call(0, tx.sender_address, entry_point, tx.calldata)
        except ExecutionReverted as e:
            data = {"transaction_index": 0, "execution_error": e.nested()}
            raise ErrorResponse("TRANSACTION_EXECUTION_ERROR", data) from e
        return estimate(_gas(execution, tx.calldata), in_fri(self.prices), "FRI")

    def _unsigned(self, action: Callable[[ExecutionState], T], tx_hash: int | None = None) -> T:
        """Do something on the state in a transaction of nobody, and return its answer."""
        tx_hash = tx_hash or pseudo_hash("unsigned", next(self._unsigned_ids))
        execution = ExecutionState(self.chain.building.state)
        result = action(execution)
        self._add(tx_hash, execution, partial(self._unsigned, action, tx_hash))
        return result

    def _check_fee(self, execution: ExecutionState, tx: InvokeV3) -> None:
        prices, max_fee = in_fri(self.prices), 0
        for gas in GAS:
            bound = getattr(tx.resource_bounds, gas)
            if bound.max_price_per_unit < prices[gas]:
                raise ErrorResponse("INSUFFICIENT_RESOURCES_FOR_VALIDATE")
            max_fee += bound.max_amount * bound.max_price_per_unit
        if execution.read(STRK, "balances", tx.sender_address) < max_fee:
            raise ErrorResponse("INSUFFICIENT_ACCOUNT_BALANCE")

    def _add(
        self,
        tx_hash: int,
        execution: ExecutionState,
        replay: Callable[[], object],
        *,
        gas: dict[str, int] | None = None,
        fee: int = 0,
        revert: ExecutionReverted | None = None,
        message: L1Message | None = None,
    ) -> None:
        executed = Executed(
            hash=tx_hash,
            events=tuple(execution.events),
            revert_reason=None if revert is None else revert.text(),
            gas=gas or dict.fromkeys(GAS, 0),
            fee=fee,
            message=message,
            replay=replay,
        )
        self.chain.add(executed, execution.writes)


def _nonce_fault(execution: ExecutionState, tx: InvokeV3) -> str | None:
    expected = execution.read("nonce", tx.sender_address)
    if tx.nonce == expected:
        return None
    return f"Account nonce: {felt(expected)}; got: {felt(tx.nonce)}."


def _handle(execution: ExecutionState, message: L1Message) -> None:
    """Execute a message's handler, whose first argument is the sender on L1."""
    calldata = (message.from_address, *message.payload)
    execution.call(0, message.to_address, message.selector, calldata, from_l1=True)


def _gas(
    execution: ExecutionState, calldata: Sequence[int], *, from_l1: bool = False
) -> dict[str, int]:
    """Measure a transaction by its calldata, its writes and its events."""
    return {
        "l1_gas": 16_000 + 600 * len(calldata) if from_l1 else 0,
        "l1_data_gas": 128 + 64 * len(execution.writes),
        "l2_gas": 800_000 + 5_000 * len(calldata) + 40_000 * len(execution.events),
    }


def _contract_error(revert: ExecutionReverted) -> ErrorResponse:
    """Return the published error of a call that reverted."""
    if isinstance(revert, NoContract) and not revert.frames:
        return ErrorResponse("CONTRACT_NOT_FOUND")
    return ErrorResponse("CONTRACT_ERROR", {"revert_error": revert.nested()})
