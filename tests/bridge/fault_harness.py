"""Random faults and deaths on the in-memory bridge, and the invariants during and after them."""

import json
from collections.abc import Callable
from functools import partial
from itertools import pairwise

from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.orders.lifecycle import NEXT, Status
from mmbot_pipelines.bridge.orders.order import Order
from mmbot_pipelines.bridge.ports.orders import OrderFilter
from mmbot_pipelines.core import failpoints
from mmbot_pipelines.core.errors import Failure, RpcUnavailable
from mmbot_pipelines.core.money import Address, Gas, TxHash, Wei
from mmbot_pipelines.core.outbox import Call, Fees, Signed, TxState
from mmbot_pipelines.core.safety import State, resume
from tests.bridge.harness import BridgeHarness
from tests.bridge.wallets import second_wallet
from tests.ports.chain_blocks import Executed
from tests.ports.chain_memory import ETH, ChainMemory
from tests.ports.store_writes import decided

UNPAID = [Status.PENDING, Status.PROCESSING]


def outage() -> RpcUnavailable:
    return RpcUnavailable("gone")


class Killed(BaseException):
    """The process has died at a failpoint."""


class FaultHarness:
    """A bridge whose every step may fail or die."""

    def __init__(self) -> None:
        self.harness = BridgeHarness()
        self.harness.rules(max_attempts=30)
        self.doomed: failpoints.Point | None = None
        self._sign = self.harness.chain.sign
        self._check_signatures(self.harness.chain)

    def add_wallet(self) -> None:
        """Let a second wallet pay, too."""
        self._check_signatures(second_wallet(self.harness))

    # what the bot does

    def do(self, step: Callable[[], object]) -> None:
        """Run a step until it ends, fails, or dies."""
        here = failpoints.failpoint
        failpoints.failpoint = self._pass
        try:
            step()
        except (steps.OrdersFailed, Failure, Killed):
            return
        finally:
            failpoints.failpoint = here

    def detect(self) -> None:
        self.do(self.harness.detect)

    def transfer(self) -> None:
        w = self.harness

        def step() -> None:
            w.transfer([o.key for o in steps.take_orders(w.bridge, UNPAID, "zksync")])

        self.do(step)

    def repay(self) -> None:
        w = self.harness
        self.do(lambda: w.repay([o.key for o in steps.take_orders(w.bridge, [Status.FULFILLED])]))

    def look(self) -> None:
        self.do(self.harness.look)

    def replace(self) -> None:
        self.do(self.harness.replace_stuck)

    def settle(self) -> None:
        self.do(self.harness.settle)

    def retry(self) -> None:
        w = self.harness
        self.do(lambda: steps.advance(w.bridge, steps.retry(w.bridge, w.run), w.run))

    def backfill(self) -> None:
        w = self.harness
        self.do(lambda: steps.advance(w.bridge, steps.backfill(w.bridge, w.run), w.run))

    def everything(self) -> None:
        """Do what the sensors and schedules do within some minutes."""
        w = self.harness
        for step in (self.detect, self.backfill, self.retry, self.transfer, self.look):
            step()
        w.later(400)
        for step in (self.replace, self.look, self.repay):
            step()
        w.chain.mine()
        self.look()
        w.l2.deliver()
        self.settle()
        self.do(lambda: steps.guard(w.bridge, w.run))

    def person(self) -> None:
        """Do what an operator does who sees that all is well again."""
        w = self.harness
        for scope_state in w.store.safety.scope_states():
            if scope_state.state is State.HALTED:
                decided(
                    resume, w.store, scope_state.scope, by="ann", reason="all is well", at=w.now
                )

    def calm(self) -> None:
        """End all faults, and give the bot the time it needs."""
        w = self.harness
        self.doomed = None
        w.l2.fault = w.chain.fault = w.chain.broadcast_fault = None
        w.l2.paused, w.chain.picky, w.chain.max_per_block = False, False, None
        w.chain.base_fee, w.chain.endowment = 10**9, 10_000 * ETH
        w.chain.allow()
        w.l2.mine(12)
        for turn in range(70):
            if turn > 10 and self._quiet():
                break
            self.person()
            self.everything()

    def elsewhere(self, call: Call) -> None:
        """Let another program send from the wallet, whatever our nodes do."""
        chain = self.harness.chain
        fault, chain.fault = chain.fault, None
        checked, chain.sign = chain.sign, self._sign
        chain.elsewhere(call)
        chain.sign = checked
        chain.fault = fault

    # what must hold always

    def _check_signatures(self, chain: ChainMemory) -> None:
        chain.sign = partial(self._checked, chain.wallet, chain.sign)

    def _checked(
        self,
        wallet: Address,
        sign: Callable[..., Signed],
        call: Call,
        *,
        nonce: int,
        gas: Gas,
        fees: Fees,
    ) -> Signed:
        """Sign only what is for an order that the L2 has at this moment, at one nonce."""
        rows, known = self.harness.transactions(), self.harness.l2.orders()
        again = any((row.wallet, row.nonce) == (wallet, nonce) for row in rows)
        if b'"transfer"' in call.data:
            assert call in map(self._transfer, known), "a transfer for an order of no block"
            rivals = [r for r in rows if r.call == call and r.state is TxState.STORED]
            assert again or not rivals, "a second transfer while the first could be mined"
        elif b'"claim"' in call.data and not again:
            claims = {self.harness.registry.claim(o, value=Wei(0)).data for o in known}
            assert call.data in claims, "a claim for an order of no block"
        elif b'"claims"' in call.data and not again:
            terms = [[o.origin, o.number, o.recipient, o.amount] for o in known]
            named = json.loads(call.data)[1:]
            assert all(one in terms for one in named), "a claim for an order of no block"
        return sign(call, nonce=nonce, gas=gas, fees=fees)

    def check(self) -> None:
        """Check the invariants that hold during faults."""
        paid = [t.call.data for t in self.transfers()]
        assert len(paid) == len(set(paid))
        store = self.harness.store
        histories = self.harness.histories()
        for order in store.orders.find(OrderFilter()):
            way = histories[order.key]
            assert way[-1].after is order.status
            for before, after in pairwise(way):
                assert after.before is before.after
                steps_ = {to for (at, _), to in NEXT.items() if at is before.after}
                assert after.after is before.after or after.after in steps_
        nonces = [(t.wallet, t.nonce, t.bump) for t in self.harness.transactions()]
        assert len(nonces) == len(set(nonces))

    def transfers(self) -> list[Executed]:
        """List the transfers that have paid somebody."""
        done = self.harness.chain.executed(succeeded=True)
        return [t for t in done if b'"transfer"' in t.call.data]

    # what must hold in the end

    def check_end(self) -> None:
        """Check that nothing is left undone, and no money lost in silence."""
        self.check()
        harness, store = self.harness, self.harness.store
        assert store.outbox.in_flight() == []
        ours = {row.hash for row in self.harness.transactions()}
        for wallet in harness.chain.wallets:
            assert not ours & {waiting.hash for waiting in wallet.pool.values()}
        orders = {o.key: o for o in store.orders.find(OrderFilter())}
        for order in orders.values():
            assert order.is_parked or order.status.is_final, f"{order.key}: {order.status}"
            if order.status is Status.COMPLETED and not order.is_orphaned:
                assert harness.l2._paid(order.number)
                # What another program has paid for us is not followed if L1 takes it back.
                assert self._paid_in(order) == order.transfer_tx or order.transfer_tx not in ours
        for logged in harness.l2.orders():
            assert logged.key in orders, f"{logged.key} was lost"
            order = orders[logged.key]
            if self._transfer(order) == self._transfer(logged):
                assert (order.block, order.fee) == (logged.block, logged.fee)
            else:  # not relocated: the first order of this id was paid
                kinds = {e.fault.kind for e in store.errors.of(order.key)}
                assert "ReorgAfterPayment" in kinds, f"{logged.key} was lost"
        for transfer in self.transfers():
            if transfer.hash in ours:  # what others pay to a dropped order is theirs
                self._check_paid(transfer, orders)

    def _check_paid(self, transfer: Executed, orders: dict[str, Order]) -> None:
        """Check that each paid order is claimed, or parked for a person."""
        for order in orders.values():
            if self._transfer(order) == transfer.call:
                assert order.status is not Status.DROPPED
                assert order.status is Status.COMPLETED or order.is_parked
                return
        kinds = {e.fault.kind for e in self.harness.errors()}
        assert "ReorgAfterPayment" in kinds

    def _paid_in(self, order: Order) -> TxHash | None:
        return next((t.hash for t in self.transfers() if t.call == self._transfer(order)), None)

    def _transfer(self, order: Order) -> Call:
        return self.harness.registry.transfer(order)

    def _quiet(self) -> bool:
        orders = self.harness.store.orders.find(OrderFilter())
        return not self.harness.store.outbox.in_flight() and all(
            o.is_parked or o.status.is_final for o in orders
        )

    def _pass(self, point: failpoints.Point) -> None:
        if point is self.doomed:
            self.doomed = None
            raise Killed
