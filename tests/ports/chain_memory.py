"""A chain in memory, with one wallet (and `WalletMemory`s): the port `Chain`, scriptable.

Blocks appear only by `mine`. A contract is a function that returns why a call reverts, or
None; what it did is read from `executed`, so that a reorg takes it back by itself.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace

from mmbot_pipelines.core.delegation import AccountCode
from mmbot_pipelines.core.errors import (
    Failure,
    InsufficientFunds,
    NonceTaken,
    RpcRefused,
    SimulationReverted,
)
from mmbot_pipelines.core.money import Address, Gas, TxHash, Wei
from mmbot_pipelines.core.outbox import (
    UNKNOWN,
    Account,
    Block,
    Call,
    Fees,
    Receipt,
    Signed,
    Transaction,
)
from tests.ports.chain_blocks import (
    Executed,
    MinedBlock,
    Refusal,
    batch_of,
    block_of,
    hash_of,
    outbids,
    receipt_of,
    transaction_of,
)

ETH = 10**18
WALLET = Address("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266")


class ChainMemory:
    """The port `Chain`, scriptable."""

    chain_id = 31337
    wallet = WALLET
    sender = WALLET  # of the call that a contract is asked about

    def __init__(self, *, balance: int = 10_000 * ETH, base_fee: int = 10**9) -> None:
        self.endowment = balance  # wei that the wallet had at the start
        self.base_fee = base_fee  # wei per gas, of every block from now on
        self.priority = 10**8
        self.call_gas = 100_000  # what any call uses; a plain payment uses 21 000
        self.picky = False  # takes nothing into the pool that the next block would not take
        self.max_per_block: int | None = None  # transactions that fit in a block
        self.contracts: dict[Address, Callable[[Call], str | None]] = {}
        self.codes: set[Address] = set()  # of accounts that run code of their own
        self.account_code = AccountCode.NONE  # of our own account
        self._making: list[Call] = []  # by the batch that is executed right now
        self.fault: Failure | None = None  # every question raises it while it is set
        self.broadcast_fault: Failure | None = None  # stands in each place while it is set
        self.broadcasts: list[bytes] = []  # every one ever handed over, again or not
        self.pool: dict[int, Executed] = {}
        self.wallets: list[ChainMemory] = [self]
        self.blocks = [MinedBlock(block_of(0, ""))]
        self._refusals: list[Refusal] = []
        self._forks = 0
        self.refused_second = 0  # transactions, while the account had code and one in the pool

    # the port

    def head(self) -> Block:
        self._answer()
        return self.blocks[-1].block

    def has_block(self, block: Block) -> bool:
        self._answer()
        if block.number >= len(self.blocks):
            raise RpcRefused(f"there is no block {block.number} yet")
        return self.blocks[block.number].block == block

    def fees(self) -> Fees:
        self._answer()
        return Fees(
            base=Wei(-(-self.base_fee * 9 // 8)),
            priority=Wei(self.priority),
            ceiling=Wei(2 * self.base_fee + self.priority),
        )

    def balance(self) -> Wei:
        self._answer()
        spent = sum(
            self._gas_used(t) * t.gas_price + sum(call.value for call in t.made)
            for t in self.sent()
        )
        return Wei(self.endowment - spent)

    def account(self) -> Account:
        nonce, balance = self.nonce(pending=False), self.balance()
        return Account(nonce=nonce, balance=balance, block=self.head())

    def nonce(self, *, pending: bool) -> int:
        self._answer()
        nonce = len(self.sent())
        while pending and nonce in self.pool:
            nonce += 1
        return nonce

    def simulate(
        self, calls: Sequence[Call], fees: Fees, balance: Wei | None = None
    ) -> list[Gas | Failure]:
        self._answer()
        return [self._estimate(call, fees) for call in calls]

    def sign(self, call: Call, *, nonce: int, gas: Gas, fees: Fees) -> Signed:
        fields = [call.to, call.data.hex(), call.value, nonce, gas]
        raw = json.dumps([*fields, fees.base, fees.priority, fees.ceiling, self.wallet]).encode()
        return Signed(hash=hash_of(raw), raw=raw)

    def broadcast(self, raws: Sequence[bytes]) -> list[Failure | None]:
        outage = self.fault or self.broadcast_fault
        if outage:
            return [outage] * len(raws)
        self.broadcasts.extend(raws)
        return [self._take(transaction_of(raw)) for raw in raws]

    def receipts(self, hashes: Sequence[TxHash]) -> list[Receipt | None]:
        self._answer()
        mined = {t.hash: t for t in self.executed()}
        return [receipt_of(t, self._gas_used(t)) if (t := mined.get(h)) else None for h in hashes]

    def known_by_node(self, hashes: Sequence[TxHash]) -> list[bool]:
        self._answer()
        known = {t.hash for t in [*self.executed(), *self.pool.values()]}
        return [h in known for h in hashes]

    def known_by_any_node(self, hashes: Sequence[TxHash]) -> list[bool]:
        return self.known_by_node(hashes)

    def revert_reason(self, transaction: Transaction) -> str:
        self._answer()
        for t in self.executed():
            if t.hash == transaction.hash and t.reason:
                return t.reason
            if t.hash == transaction.hash and t.call != transaction.call:  # one call of a batch
                return self._revert(transaction.call, foreseen=False) or f"{UNKNOWN}it succeeds"
        return f"{UNKNOWN}it succeeds when it is replayed"

    def has_code(self, account: Address, block: int) -> bool:
        self._answer()
        return account in self.contracts or account in self.codes

    # what tests do to it

    def executed(self, *, succeeded: bool = False) -> list[Executed]:
        """List the mined transactions of the present chain, oldest first."""
        mined = [t for b in self.blocks for t in b.transactions]
        return [t for t in mined if not t.reason] if succeeded else mined

    def sent(self) -> list[Executed]:
        """List the wallet's own mined transactions, oldest first."""
        return [t for t in self.executed() if t.wallet == self.wallet]

    def mine(self, blocks: int = 1) -> Block:
        """Put what the pool holds into a block, and more empty blocks on top of it."""
        for _ in range(blocks):
            mined = self._empty_block()
            for wallet in self.wallets:
                nonce = len(wallet.sent())
                while wallet._fits(mined, nonce):
                    mined.transactions += [wallet._execute(wallet.pool.pop(nonce), mined.block)]
                    nonce += 1
        return self.blocks[-1].block

    def reorg(self, depth: int, *, keep: bool = True) -> Block:
        """Replace the newest blocks by as many empty ones; `keep` returns what they held."""
        gone = self.blocks[-depth:]
        del self.blocks[-depth:]
        self._forks += 1
        for _ in gone:
            self._empty_block()
        for wallet in self.wallets if keep else []:
            back = [t for b in gone for t in b.transactions if t.wallet == wallet.wallet]
            wallet.pool |= {t.nonce: t for t in back}
        return self.blocks[-1].block

    def drop(self, tx: TxHash) -> None:
        """Make the pool forget a transaction, as a node under pressure does."""
        self.pool = {n: t for n, t in self.pool.items() if t.hash != tx}

    def refuse(
        self, matches: Callable[[Call], bool], reason: str, *, foreseen: bool = True
    ) -> None:
        """Make the calls that match revert; `foreseen=False` only when they are mined."""
        self._refusals.append(Refusal(matches, reason, foreseen))

    def allow(self) -> None:
        """Take back every `refuse`."""
        self._refusals.clear()

    def elsewhere(self, call: Call) -> TxHash:
        """Mine a call that another program sent from the same wallet, at its next nonce."""
        nonce = len(self.sent())
        fees = replace(self.fees(), priority=Wei(self.priority + 1))
        signed = self.sign(call, nonce=nonce, gas=Gas(2 * self.call_gas), fees=fees)
        held, self.pool = self.pool, {nonce: transaction_of(signed.raw)}
        self.mine()
        self.pool = {n: t for n, t in held.items() if n != nonce}
        return signed.hash

    def _empty_block(self) -> MinedBlock:
        parent = self.blocks[-1].block
        self.blocks += [MinedBlock(block_of(parent.number + 1, f"{parent.hash}/{self._forks}"))]
        return self.blocks[-1]

    def _answer(self) -> None:
        if self.fault:
            raise self.fault

    def _estimate(self, call: Call, fees: Fees) -> Gas | Failure:
        if reason := self._revert(call, foreseen=True):
            return SimulationReverted(reason)
        if call.value + self._use(call) * fees.ceiling > self.balance():
            return InsufficientFunds(f"the wallet holds {self.balance()} wei")
        return Gas(-(-self._use(call) * 5 // 4))

    def _revert(self, call: Call, *, foreseen: bool) -> str | None:
        for refusal in self._refusals:
            if refusal.matches(call) and (refusal.foreseen or not foreseen):
                return refusal.reason
        contract = self.contracts.get(call.to)
        return contract(call) if contract else None

    def _take(self, new: Executed) -> Failure | None:
        if self.known_by_node([new.hash])[0]:
            return None
        if new.nonce < self.nonce(pending=False):
            return NonceTaken(f"nonce {new.nonce} too low")
        if new.call.value + new.gas * new.fees.ceiling > self.balance():
            return InsufficientFunds(f"the wallet holds {self.balance()} wei")
        if self.picky and new.fees.ceiling < self.base_fee:
            return RpcRefused("max fee per gas less than block base fee")
        old = self.pool.get(new.nonce)
        if self.account_code is not AccountCode.NONE and not old and self.pool:
            self.refused_second += 1
            return RpcRefused("in-flight transaction limit reached for delegated accounts")
        if old and not outbids(new.fees, old.fees):
            return RpcRefused("replacement transaction underpriced")
        self.pool[new.nonce] = new
        return None

    def _fits(self, block: MinedBlock, nonce: int) -> bool:
        full = self.max_per_block is not None and len(block.transactions) >= self.max_per_block
        return nonce in self.pool and not full and self.pool[nonce].fees.ceiling >= self.base_fee

    def _execute(self, waiting: Executed, block: Block) -> Executed:
        price = min(waiting.fees.ceiling, self.base_fee + waiting.fees.priority)
        reason = self._revert(waiting.call, foreseen=False)
        if self._use(waiting.call) > waiting.gas:
            reason = "out of gas"
        inner = None if reason else self._inner(waiting.call)
        return replace(waiting, block=block, gas_price=price, reason=reason, inner=inner)

    def _inner(self, call: Call) -> tuple[Call, ...] | None:
        """Make the calls of a batch; without the code it does nothing and succeeds."""
        calls = batch_of(call)
        if calls is None:
            return None
        self._making = []
        for one, limit in calls if self.account_code is AccountCode.OURS else []:
            if limit >= self.call_gas and not self._revert(one, foreseen=False):
                self._making.append(one)
        made, self._making = tuple(self._making), []
        return made

    def made(self) -> list[tuple[TxHash, Call]]:
        """List the calls that took effect, oldest first, those of batches too."""
        before = [(t.hash, call) for t in self.executed() for call in t.made]
        return before + [(TxHash("0x"), call) for call in self._making]

    def _use(self, call: Call) -> int:
        batch = batch_of(call)
        if batch is not None:
            return self.call_gas * len(batch)
        return self.call_gas if call.data else 21_000

    def _gas_used(self, mined: Executed) -> Gas:
        return Gas(min(mined.gas, self._use(mined.call)))
