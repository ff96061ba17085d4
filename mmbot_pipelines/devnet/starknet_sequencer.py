"""Puts transactions into the local Starknet's blocks: admission, execution, fees, reorgs."""

from collections.abc import Sequence
from typing import Any

from mmbot_pipelines.devnet.starknet_account import EXECUTE, VALIDATE
from mmbot_pipelines.devnet.starknet_chain import Block, Chain, Executed, Resources
from mmbot_pipelines.devnet.starknet_errors import RpcError
from mmbot_pipelines.devnet.starknet_execution import (
    Frame,
    NoContract,
    NoEntryPoint,
    Reverted,
    World,
)
from mmbot_pipelines.devnet.starknet_fees import GasPrices, estimate, used_by
from mmbot_pipelines.devnet.starknet_felt import short_string
from mmbot_pipelines.devnet.starknet_genesis import (
    CLASSES,
    SEQUENCER_ADDRESS,
    StarknetSettings,
    accounts,
    begin,
)
from mmbot_pipelines.devnet.starknet_history import Slot
from mmbot_pipelines.devnet.starknet_token import BALANCES, STRK, move
from mmbot_pipelines.devnet.starknet_transactions import Invoke, L1Message, account_calldata

Call = tuple[int, int, Sequence[int]]  # contract, selector, arguments
GAS = ("l1_gas", "l1_data_gas", "l2_gas")


class Sequencer:
    """Run transactions on the chain, or only see what they would do."""

    def __init__(self, settings: StarknetSettings) -> None:
        self.settings = settings
        self.chain_id = short_string(settings.chain_id)
        self.accounts = accounts(settings.users)
        self.prices = GasPrices()
        self.chain = Chain(settings.l1_depth)
        begin(self.chain.history, settings, self.accounts)
        self.chain.seal()

    def world(self, block: Block, tx_hash: int = 0, signature: tuple[int, ...] = ()) -> World:
        """Open the state as it is after `block`."""
        world = World(self.chain.history, block.number, CLASSES)
        world.transaction_hash, world.signature = tx_hash, signature
        return world

    def submit(self, tx: Invoke, *, validate: bool = True) -> Executed:
        """Execute an account's transaction in the block being built.

        Raises:
            RpcError: it is refused, as `starknet_addInvokeTransaction` publishes.
        """
        tx_hash = tx.hash(self.chain_id)
        if self.chain.knows(tx_hash):
            raise RpcError("DUPLICATE_TX")
        world = self.world(self.chain.building, tx_hash, tx.signature)
        self._admit(world, tx)
        if validate:
            self._check_fee(world, tx)
            try:
                world.call(0, tx.sender, VALIDATE, tx.calldata)
            except Reverted as e:
                raise RpcError("VALIDATION_FAILURE", e.text()) from e
        revert, used, fee = self._run(world, tx, bounded=validate)
        executed = Executed(
            hash=tx_hash,
            source=tx,
            events=tuple(world.events),
            revert_reason=None if revert is None else revert.text(),
            resources=used,
            fee=fee,
        )
        return self._include(world, executed)

    def act(self, calls: Sequence[Call], sender: int | None = None) -> Executed:
        """Execute calls of a development account (the owner's, if none is named) unsigned.

        Raises:
            RpcError: CONTRACT_ERROR, they reverted.
        """
        sender = sender or self.accounts[0].address
        nonce = self.world(self.chain.building).read(Slot("nonce", sender))
        tx = Invoke(sender=sender, calldata=account_calldata(calls), nonce=nonce)
        executed = self.submit(tx, validate=False)
        if executed.revert_reason is not None:
            raise RpcError("CONTRACT_ERROR", {"revert_error": executed.revert_reason})
        return executed

    def deliver(self, message: L1Message, failure: str | None = None) -> Executed:
        """Execute an L1 message's handler in the block being built.

        A handler that reverts is included as reverted; `failure` makes it so.
        """
        tx_hash = message.transaction_hash(self.chain_id)
        world = self.world(self.chain.building, tx_hash)
        revert_reason = None
        try:
            if failure is not None:
                raise Reverted(failure)
            world.call(0, message.to_address, message.selector, message.calldata, l1_handler=True)
        except Reverted as e:
            revert_reason = e.text()
        executed = Executed(
            hash=tx_hash,
            source=message,
            events=tuple(world.events),
            revert_reason=revert_reason,
            resources=used_by(world, message.calldata, from_l1=True),
            fee=0,
            forced_failure=failure,
        )
        return self._include(world, executed)

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
            return self.world(block).call(0, *call)
        except Reverted as e:
            if isinstance(e, NoEntryPoint) and len(e.frames) == 1:
                raise RpcError("ENTRYPOINT_NOT_FOUND") from e
            raise contract_error(e) from e

    def estimate_message(self, message: L1Message, block: Block) -> dict[str, str]:
        """Return MESSAGE_FEE_ESTIMATE for a message sent now.

        Raises:
            RpcError: CONTRACT_NOT_FOUND, or CONTRACT_ERROR where the handler reverts.
        """
        world = self.world(block)
        to, selector = message.to_address, message.selector
        try:
            world.call(0, to, selector, message.calldata, l1_handler=True)
        except Reverted as e:
            raise contract_error(e) from e
        return estimate(used_by(world, message.calldata, from_l1=True), self.prices, "WEI")

    def estimate(
        self, txs: Sequence[Invoke], block: Block, *, validate: bool
    ) -> list[dict[str, str]]:
        """Return FEE_ESTIMATE for transactions that follow one another.

        Raises:
            RpcError: CONTRACT_NOT_FOUND or TRANSACTION_EXECUTION_ERROR.
        """
        world, estimates = self.world(block), []
        for index, tx in enumerate(txs):
            world.transaction_hash, world.signature = tx.hash(self.chain_id), tx.signature
            world.events.clear()
            try:
                self._admit(world, tx)
                if validate:
                    world.call(0, tx.sender, VALIDATE, tx.calldata)
                revert, used, _ = self._run(world, tx, bounded=False)
                if revert is not None:
                    raise revert
            except RpcError as e:
                if e.name == "NON_ACCOUNT":
                    raise RpcError("CONTRACT_NOT_FOUND") from e
                raise execution_error(index, f"{e.message}: {e.data}") from e
            except Reverted as e:
                raise execution_error(index, e.nested()) from e
            estimates.append(estimate(used, self.prices.in_fri(), "FRI"))
        return estimates

    def _admit(self, world: World, tx: Invoke) -> None:
        contract = world.contract(tx.sender)
        if contract is None or EXECUTE not in contract.externals:
            raise RpcError("NON_ACCOUNT")
        expected = world.read(Slot("nonce", tx.sender))
        if tx.nonce != expected:
            reason = f"Account nonce: {expected:#x}; got: {tx.nonce:#x}."
            raise RpcError("INVALID_TRANSACTION_NONCE", reason)

    def _check_fee(self, world: World, tx: Invoke) -> None:
        prices = self.prices.in_fri()
        for gas in GAS:
            if getattr(tx.bounds, gas).max_price_per_unit < getattr(prices, gas):
                raise RpcError("INSUFFICIENT_RESOURCES_FOR_VALIDATE")
        if Frame(world, STRK, 0).read_u256(BALANCES, tx.sender) < tx.most_it_may_cost():
            raise RpcError("INSUFFICIENT_ACCOUNT_BALANCE")

    def _run(
        self, world: World, tx: Invoke, *, bounded: bool
    ) -> tuple[Reverted | None, Resources, int]:
        world.write(Slot("nonce", tx.sender), tx.nonce + 1)
        begun, revert = world.mark(), None
        try:
            world.call(0, tx.sender, EXECUTE, tx.calldata)
        except Reverted as e:
            revert = e
        used = used_by(world, tx.calldata)
        for gas in GAS if bounded else ():
            limit, needed = getattr(tx.bounds, gas).max_amount, getattr(used, gas)
            if needed > limit:
                world.undo(begun)
                revert = Reverted(f"Insufficient max {gas}: limit {limit}, used {needed}.")
        token = Frame(world, STRK, tx.sender)
        fee = min(self.prices.in_fri().fee(used), token.read_u256(BALANCES, tx.sender))
        move(token, tx.sender, SEQUENCER_ADDRESS, fee)
        return revert, used, fee

    def _include(self, world: World, executed: Executed) -> Executed:
        world.commit()
        self.chain.add(executed)
        return executed


def contract_error(revert: Reverted) -> RpcError:
    """Return the published error of a call that reverted."""
    if isinstance(revert, NoContract) and not revert.frames:
        return RpcError("CONTRACT_NOT_FOUND")
    data: dict[str, Any] = {"revert_error": revert.nested()}
    return RpcError("CONTRACT_ERROR", data)


def execution_error(index: int, error: Any) -> RpcError:
    """Return the published error of the `index`-th transaction of an estimate."""
    data = {"transaction_index": index, "execution_error": error}
    return RpcError("TRANSACTION_EXECUTION_ERROR", data)
