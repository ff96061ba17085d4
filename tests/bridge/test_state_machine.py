"""Any faults in any order: no order is lost, none is paid twice, none is paid as another."""

from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mmbot_pipelines.adapters.db.bridge.exposure import PgAccounts
from mmbot_pipelines.bridge.confirmations import ConfirmationTier
from mmbot_pipelines.bridge.policy import Batching
from mmbot_pipelines.core import failpoints
from mmbot_pipelines.core.money import Wei
from mmbot_pipelines.core.outbox import Call
from tests.bridge.fault_harness import FaultHarness, outage
from tests.ports.chain_memory import ETH, WALLET

pytestmark = pytest.mark.timeout(1800)

GWEI = 10**9
AMOUNTS = st.sampled_from([10**15, 10**16, 5 * 10**16])
FEES = st.sampled_from([1, 8 * 10**14, 10**16])
COUNTS = st.integers(1, 3)
BATCHING = Batching(max_orders=3, max_age_seconds=60)


class NoClaimReverts(PgAccounts):
    """Accounts that let claims go out with transfers, or together, whatever came of others."""

    def last_claim_succeeded(self, origin: str) -> bool:
        return True

    def batch_failed(self, origin: str, *, since: datetime) -> bool:
        return False


class BridgeStateMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.faults = FaultHarness()
        self.harness = self.faults.harness

    @initialize(
        tiers=st.sampled_from(
            [(), (ConfirmationTier(Wei(0), 1), ConfirmationTier(Wei(10**16), 3))]
        ),
        claim=st.sampled_from(["after_transfer", "with_transfer", "batched"]),
        wallets=st.sampled_from([1, 2]),
    )
    def operator_chooses(
        self, tiers: tuple[ConfirmationTier, ...], claim: str, wallets: int
    ) -> None:
        if wallets == 2:
            self.faults.add_wallet()
        self.harness.rules(
            confirmations=tiers,
            claim_with_transfer=claim == "with_transfer",
            batching=BATCHING if claim == "batched" else None,
        )
        self.harness.l2.max_batch = 96 if claim == "batched" else 1
        accounts = NoClaimReverts(self.harness.engine)
        self.harness.bridge = replace(self.harness.bridge, accounts=accounts)

    # users, and time

    @rule(count=COUNTS, amount=AMOUNTS, fee=FEES)
    def users_set_orders(self, count: int, amount: int, fee: int) -> None:
        self.harness.l2.set_orders(count, amount=amount, fee=fee)

    @rule(seconds=st.sampled_from([5, 61, 1000]))
    def time_passes(self, seconds: int) -> None:
        self.harness.later(seconds)

    @rule(blocks=COUNTS)
    def l2_goes_on(self, blocks: int) -> None:
        self.harness.l2.mine(blocks)

    @rule(most=st.sampled_from([None, 0, 1, 2]))
    def l1_makes_a_block(self, most: int | None) -> None:
        self.harness.chain.max_per_block = most
        self.harness.chain.mine()

    @rule()
    def claims_arrive(self) -> None:
        self.harness.l2.deliver()

    # the bot

    @rule()
    def bot_detects(self) -> None:
        self.faults.detect()

    @rule()
    def bot_transfers(self) -> None:
        self.faults.transfer()

    @rule()
    def bot_reads_receipts(self) -> None:
        self.faults.look()

    @rule()
    def bot_claims(self) -> None:
        self.faults.repay()

    @rule()
    def bot_settles(self) -> None:
        self.faults.settle()

    @rule()
    def bot_retries(self) -> None:
        self.faults.retry()

    @rule()
    def bot_replaces(self) -> None:
        self.faults.replace()

    @rule()
    def bot_does_everything(self) -> None:
        self.faults.everything()

    @rule()
    def bot_reads_all_again(self) -> None:
        self.faults.backfill()

    # faults

    @rule(point=st.sampled_from(failpoints.Point))
    def the_process_shall_die(self, point: failpoints.Point) -> None:
        self.faults.doomed = point

    @rule(gwei=st.sampled_from([1, 4, 30]), picky=st.booleans())
    def prices_change(self, gwei: int, picky: bool) -> None:
        self.harness.chain.base_fee = gwei * GWEI
        self.harness.chain.picky = picky

    @rule(nonce=st.integers(0, 5))
    def the_pool_forgets(self, nonce: int) -> None:
        for wallet in self.harness.chain.wallets:
            waiting = sorted(wallet.pool)
            for found in waiting[nonce : nonce + 1]:
                del wallet.pool[found]

    @rule(poor=st.booleans())
    def the_first_of_two_wallets_is_empty(self, poor: bool) -> None:
        if len(self.harness.chain.wallets) > 1:
            self.harness.chain.endowment = 0 if poor else 10_000 * ETH

    @rule(depth=COUNTS, keep=st.booleans())
    def l1_reorg(self, depth: int, keep: bool) -> None:
        depth = min(depth, len(self.harness.chain.blocks) - 1)
        if depth:
            self.harness.chain.reorg(depth, keep=keep)

    @rule(
        depth=st.integers(1, 4),
        how=st.sampled_from(["vanish", "again", "reused"]),
        below=st.none() | st.integers(0, 3),
    )
    def l2_reorg(self, depth: int, how: str, below: int | None) -> None:
        l2 = self.harness.l2
        depth = min(depth, len(l2.sealed) - 1)
        if not depth:
            return
        gone = [order for block in l2.sealed[-depth:] for order in block.orders]
        l2.reorg(depth)
        below = below if below is not None and below < depth else None
        if how == "again":
            l2.put(gone, below)
        elif how == "reused":
            l2.put([replace(o, amount=Wei(o.amount + 1)) for o in gone], below)

    @rule()
    def another_program_pays(self) -> None:
        self.faults.elsewhere(Call(to=WALLET, data=b"", value=Wei(1)))

    @rule(index=st.integers(0, 3))
    def another_program_pays_an_order(self, index: int) -> None:
        for order in self.harness.l2.orders()[index : index + 1]:
            self.faults.elsewhere(self.harness.registry.transfer(order))

    @rule(down=st.booleans())
    def broadcasts_fail(self, down: bool) -> None:
        self.harness.chain.broadcast_fault = outage() if down else None

    @rule(l1=st.booleans(), l2=st.booleans())
    def nodes_are_away(self, l1: bool, l2: bool) -> None:
        self.harness.chain.fault = outage() if l1 else None
        self.harness.l2.fault = outage() if l2 else None

    @rule(paused=st.booleans())
    def the_escrow_is_paused(self, paused: bool) -> None:
        self.harness.l2.paused = paused

    @rule(reverts=st.booleans())
    def recipients_deceive(self, reverts: bool) -> None:
        self.harness.chain.allow()
        if reverts:
            self.harness.chain.refuse(lambda call: call.value > 0, "no", foreseen=False)

    @invariant()
    def holds(self) -> None:
        self.faults.check()

    def teardown(self) -> None:
        self.faults.calm()
        self.faults.check_end()


BridgeStateMachine.TestCase.settings = settings(
    max_examples=settings.default.max_examples // 10,
    stateful_step_count=50,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking takes minutes
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestBridgeStateMachine = BridgeStateMachine.TestCase
