"""Puts transactions into the local Starknet's blocks: genesis, admission, execution, reorgs."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from mmbot_pipelines.devnet.starknet.chain import (
    Block,
    Call,
    Chain,
    Executed,
    Invoke,
    L1Message,
    RpcError,
    State,
)
from mmbot_pipelines.devnet.starknet.contracts import (
    ACCOUNT,
    ESCROW,
    ESCROW_ADDRESS,
    EXECUTE,
    FACTS,
    FACTS_ADDRESS,
    VALIDATE,
    Keys,
    development_keys,
)
from mmbot_pipelines.devnet.starknet.execution import (
    ExecutionState,
    Frame,
    NoContract,
    NoEntryPoint,
    Reverted,
)
from mmbot_pipelines.devnet.starknet.felt import pseudo_hash, short_string
from mmbot_pipelines.devnet.starknet.gas import GAS, GasPrices, Resources, estimate
from mmbot_pipelines.devnet.starknet.token import ETH, STRK, TOKEN, move

SEQUENCER_ADDRESS = pseudo_hash("contract", "Sequencer")
_ALLOWANCE = 10**6 * 10**18  # wei and fri that every account begins with


@dataclass(frozen=True, slots=True, kw_only=True)
class StarknetSettings:
    chain_id: str = "SN_DEVNET"
    users: int = 3  # funded accounts beside the owner and the market maker
    registry: int = 0  # PaymentRegistry on L1, settable later
    block_time: float | None = None  # seconds; absent: blocks are sealed by hand only
    l1_depth: int = 10  # blocks on top of one that L1 has accepted


@lru_cache(maxsize=8)
def accounts(users: int) -> tuple[Keys, ...]:
    """Return the owner, the market maker and `users` users, the same on every start."""
    return tuple(development_keys(number) for number in range(users + 2))


def genesis(settings: StarknetSettings) -> State:
    """Return the state of block 0."""
    keys = accounts(settings.users)
    contracts = {ETH: TOKEN, STRK: TOKEN, ESCROW_ADDRESS: ESCROW, FACTS_ADDRESS: FACTS}
    state: State = {("class", address): kind for address, kind in contracts.items()}
    state |= {(address, "owner"): keys[0].address for address in contracts}
    state[ESCROW_ADDRESS, "registry"] = settings.registry
    state[ESCROW_ADDRESS, "wallet"] = keys[1].address
    for key in keys:
        state["class", key.address] = ACCOUNT
        state[key.address, "public_key"] = key.public_key
        state |= {(token, "balances", key.address): _ALLOWANCE for token in (ETH, STRK)}
    return state


class Sequencer:
    """Run transactions on the chain, or only see what they would do."""

    def __init__(self, settings: StarknetSettings) -> None:
        self.chain_id = short_string(settings.chain_id)
        self.accounts = accounts(settings.users)
        self.prices = GasPrices()
        self.chain = Chain(genesis(settings), settings.l1_depth)

    def submit(self, tx: Invoke, *, validate: bool = True) -> Executed:
        """Execute an account's transaction in the block being built.

        Raises:
            RpcError: it is refused, as `starknet_addInvokeTransaction` publishes.
        """
        tx_hash = tx.hash(self.chain_id)
        if self.chain.knows(tx_hash):
            raise RpcError("DUPLICATE_TX")
        execution = ExecutionState(self.chain.building.state, tx_hash, tx.signature)
        self._admit(execution, tx)
        if validate:
            self._check_fee(execution, tx)
            try:
                execution.call(0, tx.sender, VALIDATE, tx.calldata)
            except Reverted as e:
                raise RpcError("VALIDATION_FAILURE", e.text()) from e
        revert, used, fee = self._run(execution, tx, bounded=validate)
        executed = Executed(
            hash=tx_hash,
            source=tx,
            events=tuple(execution.events),
            revert_reason=None if revert is None else revert.text(),
            resources=used,
            fee=fee,
        )
        self.chain.add(executed, execution.writes)
        return executed

    def act(self, calls: Sequence[Call], sender: int | None = None) -> Executed:
        """Execute calls of a development account (the owner's, if none is named) unsigned.

        Raises:
            RpcError: CONTRACT_ERROR, they reverted.
        """
        sender = sender or self.accounts[0].address
        nonce = ExecutionState(self.chain.building.state).read("nonce", sender)
        packed = [len(calls)]
        for address, selector, arguments in calls:
            packed += [address, selector, len(arguments), *arguments]
        tx = Invoke(sender=sender, calldata=tuple(packed), nonce=nonce)
        executed = self.submit(tx, validate=False)
        if executed.revert_reason is not None:
            raise RpcError("CONTRACT_ERROR", {"revert_error": executed.revert_reason})
        return executed

    def deliver(self, message: L1Message, failure: str | None = None) -> Executed:
        """Execute an L1 message's handler in the block being built.

        A handler that reverts is included as reverted; `failure` makes it so.
        """
        execution = ExecutionState(self.chain.building.state)
        revert_reason = None
        try:
            if failure is not None:
                raise Reverted(failure)
            execution.call(
                0, message.to_address, message.selector, message.calldata, l1_handler=True
            )
        except Reverted as e:
            revert_reason = e.text()
        executed = Executed(
            hash=message.transaction_hash(self.chain_id),
            source=message,
            events=tuple(execution.events),
            revert_reason=revert_reason,
            resources=execution.resources(message.calldata, from_l1=True),
            fee=0,
            forced_failure=failure,
        )
        self.chain.add(executed, execution.writes)
        return executed

    def reorg(self, depth: int, *, replay: bool) -> list[Block]:
        """Drop the last `depth` blocks and the one being built, and return them.

        With `replay` their transactions come back in new blocks, hashes changed.
        """
        dropped = self.chain.drop(depth)
        for block in dropped if replay else []:
            for executed in block.transactions:
                if isinstance(executed.source, L1Message):
                    self.deliver(executed.source, executed.forced_failure)
                else:
                    self.submit(executed.source, validate=False)
            if block is not dropped[-1]:
                self.chain.seal()
        return dropped

    def call(self, call: Call, block: Block) -> list[int]:
        """Call a function of a contract and forget what it changed.

        Raises:
            RpcError: CONTRACT_NOT_FOUND, ENTRYPOINT_NOT_FOUND or CONTRACT_ERROR.
        """
        try:
            return ExecutionState(block.state).call(0, *call)
        except Reverted as e:
            if isinstance(e, NoEntryPoint) and len(e.frames) == 1:
                raise RpcError("ENTRYPOINT_NOT_FOUND") from e
            raise _contract_error(e) from e

    def estimate_message(self, message: L1Message, block: Block) -> dict[str, str]:
        """Return MESSAGE_FEE_ESTIMATE for a message sent now.

        Raises:
            RpcError: CONTRACT_NOT_FOUND, or CONTRACT_ERROR where the handler reverts.
        """
        execution = ExecutionState(block.state)
        to, selector = message.to_address, message.selector
        try:
            execution.call(0, to, selector, message.calldata, l1_handler=True)
        except Reverted as e:
            raise _contract_error(e) from e
        return estimate(execution.resources(message.calldata, from_l1=True), self.prices, "WEI")

    def estimate(
        self, txs: Sequence[Invoke], block: Block, *, validate: bool
    ) -> list[dict[str, str]]:
        """Return FEE_ESTIMATE for transactions that follow one another.

        Raises:
            RpcError: CONTRACT_NOT_FOUND or TRANSACTION_EXECUTION_ERROR.
        """
        execution, estimates = ExecutionState(block.state), []
        for index, tx in enumerate(txs):
            execution.transaction_hash, execution.signature = tx.hash(self.chain_id), tx.signature
            execution.events.clear()
            try:
                self._admit(execution, tx)
                if validate:
                    execution.call(0, tx.sender, VALIDATE, tx.calldata)
                revert, used, _ = self._run(execution, tx, bounded=False)
                if revert is not None:
                    raise revert
            except RpcError as e:
                if e.name == "NON_ACCOUNT":
                    raise RpcError("CONTRACT_NOT_FOUND") from e
                raise _execution_error(index, f"{e.message}: {e.data}") from e
            except Reverted as e:
                raise _execution_error(index, e.nested()) from e
            estimates.append(estimate(used, self.prices.in_fri(), "FRI"))
        return estimates

    def _admit(self, execution: ExecutionState, tx: Invoke) -> None:
        contract = execution.contract(tx.sender)
        if contract is None or EXECUTE not in contract.externals:
            raise RpcError("NON_ACCOUNT")
        expected = execution.read("nonce", tx.sender)
        if tx.nonce != expected:
            reason = f"Account nonce: {expected:#x}; got: {tx.nonce:#x}."
            raise RpcError("INVALID_TRANSACTION_NONCE", reason)

    def _check_fee(self, execution: ExecutionState, tx: Invoke) -> None:
        prices = self.prices.in_fri()
        for gas in GAS:
            if getattr(tx.bounds, gas).max_price_per_unit < getattr(prices, gas):
                raise RpcError("INSUFFICIENT_RESOURCES_FOR_VALIDATE")
        if execution.read(STRK, "balances", tx.sender) < tx.max_fee():
            raise RpcError("INSUFFICIENT_ACCOUNT_BALANCE")

    def _run(
        self, execution: ExecutionState, tx: Invoke, *, bounded: bool
    ) -> tuple[Reverted | None, Resources, int]:
        execution.writes["nonce", tx.sender] = tx.nonce + 1
        begun, revert = execution.mark(), None
        try:
            execution.call(0, tx.sender, EXECUTE, tx.calldata)
        except Reverted as e:
            revert = e
        used = execution.resources(tx.calldata)
        for gas in GAS if bounded else ():
            limit, needed = getattr(tx.bounds, gas).max_amount, getattr(used, gas)
            if needed > limit:
                execution.undo(begun)
                revert = Reverted(f"Insufficient max {gas}: limit {limit}, used {needed}.")
        fee = min(self.prices.in_fri().fee(used), execution.read(STRK, "balances", tx.sender))
        move(Frame(execution, STRK, tx.sender), tx.sender, SEQUENCER_ADDRESS, fee)
        return revert, used, fee


def _contract_error(revert: Reverted) -> RpcError:
    """Return the published error of a call that reverted."""
    if isinstance(revert, NoContract) and not revert.frames:
        return RpcError("CONTRACT_NOT_FOUND")
    data: dict[str, Any] = {"revert_error": revert.nested()}
    return RpcError("CONTRACT_ERROR", data)


def _execution_error(index: int, error: Any) -> RpcError:
    """Return the published error of the `index`-th transaction of an estimate."""
    data = {"transaction_index": index, "execution_error": error}
    return RpcError("TRANSACTION_EXECUTION_ERROR", data)
