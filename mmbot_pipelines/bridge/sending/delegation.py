"""A person changes what code our account runs (EIP-7702). Reads the chain, writes the store.

The account is delegated to the batch contract, or has no code again. The transaction goes the
way of all: stored with its nonce, then broadcast, and broadcast again until it is decided.
"""

from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.orders.journal import Run
from mmbot_pipelines.bridge.sending.lane import broadcast, hold_lane
from mmbot_pipelines.bridge.sending.nonces import next_nonce
from mmbot_pipelines.core.delegation import AccountCode, DelegatingWallet
from mmbot_pipelines.core.errors import Failure, InsufficientFunds
from mmbot_pipelines.core.money import Gas, Wei, format_ether
from mmbot_pipelines.core.outbox import DELEGATE, Call, Fees, Transaction
from mmbot_pipelines.core.safety import GLOBAL, InvalidDecision, State, confirm, state_of
from mmbot_pipelines.core.unit_of_work import Lane

# What one authorization takes, before half of it is refunded (EIP-7702, PER_EMPTY_ACCOUNT_COST).
_AUTHORIZATION_GAS = 25_000
# A transaction to an account with code that only takes ETH; what is left costs nothing.
_EMPTY_CALL_GAS = 30_000


def change_delegation(
    bridge: Bridge, wallet: DelegatingWallet, *, delegate: bool, run: Run
) -> Transaction | None:
    """Delegate our account to the batch contract, or end its delegation; None: it is so already.

    Nodes take one transaction at a time of an account whose code changes, and the change uses
    the nonce after its own. So nothing else may be in flight, and everything must be halted.

    Raises:
        InvalidDecision: the chain has no delegations, nothing is halted, or others are in flight.
        Failure: the chain could not be asked, or the wallet cannot pay for it.
    """
    chain, now = bridge.chain, wallet.delegation()
    if bridge.rules.dry_run:
        raise InvalidDecision("MMBOT_DRY_RUN is true: nothing is sent; set it to false before")
    if now.code is (AccountCode.OURS if delegate else AccountCode.NONE):
        run.log(f"{now.summary}: nothing to do")
        return None
    if not wallet.has_delegations():
        raise InvalidDecision("L1 has no delegations of accounts (EIP-7702, Prague)")
    call = wallet.call_with(delegate=delegate)
    if call is None:
        raise InvalidDecision("L1 lacks the CREATE2 factory that the batch contract is deployed by")
    fees = chain.fees()
    gas = _gas(bridge, call, fees)
    balance, pending = chain.balance(), chain.nonce(pending=True)
    with hold_lane(bridge, [], balance) as (uow, lane, free):
        scope_states = uow.safety.scope_states()
        if state_of(scope_states, GLOBAL).state is not State.HALTED:
            raise InvalidDecision("everything must be halted before: run `mmbot halt`")
        _require_empty(lane)
        if gas * fees.ceiling > free:
            raise InsufficientFunds(
                f"it needs {format_ether(Wei(gas * fees.ceiling))}, the wallet has "
                f"{format_ether(free)}: send ETH to it"
            )
        nonce = next_nonce(chain, lane, pending)
        signed = wallet.sign_delegation(call, delegate=delegate, nonce=nonce, gas=gas, fees=fees)
        transaction = Transaction(
            subject=f"delegation:{chain.wallet}:{nonce}",
            purpose=DELEGATE,
            attempt=1,
            chain_id=chain.chain_id,
            wallet=chain.wallet,
            nonce=nonce,
            hash=signed.hash,
            raw=signed.raw,
            call=call,
            gas=gas,
            fees=fees,
            stored_at=bridge.clock(),
        )
        lane.add(transaction)
        confirm(scope_states, uow.safety.hold())
    # Committed: should we die from here on, the receipts sensor broadcasts the same bytes.
    what = "delegates the account to the batch contract" if delegate else "ends the delegation"
    for row in broadcast(bridge, run, [transaction]):
        run.log(f"{row.hash} with nonce {row.nonce} {what}: `mmbot delegation` shows when it has")
    return transaction


def _require_empty(lane: Lane) -> None:
    in_flight = lane.in_flight()
    changes = [row.hash for row in in_flight if row.purpose == DELEGATE]
    if changes:
        raise InvalidDecision(f"{changes[-1]} changes it already: wait until it is mined")
    if in_flight:
        raise InvalidDecision(f"{len(in_flight)} transactions are in flight: wait for them")


def _gas(bridge: Bridge, call: Call, fees: Fees) -> Gas:
    if not call.data:
        return Gas(_EMPTY_CALL_GAS + _AUTHORIZATION_GAS)
    (estimate,) = bridge.chain.simulate([call], fees)
    if isinstance(estimate, Failure):
        raise estimate
    return Gas(estimate + _AUTHORIZATION_GAS)
