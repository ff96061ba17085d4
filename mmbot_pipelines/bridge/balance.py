"""Whether a fall of the wallet's balance is explained by our own transactions.

Reads the chain and the store, writes the store.

Nothing leaves the wallet but by its transactions. So the balance may have fallen by what ours
took since it was last explained, as their receipts say, and by nothing else: what is missing
beyond that went by another program, or with a stolen key. Where L1 has taken back the block at
which it was explained, our own may have cost another price since: nothing can be said then, and
it is explained from there.
"""

from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.ports.accounts import BalanceMark
from mmbot_pipelines.core.money import Wei
from mmbot_pipelines.core.readings import WalletBalance
from mmbot_pipelines.core.safety import GLOBAL, ScopeState


def read_wallet_balance(bridge: Bridge, floor: Wei, scope_state: ScopeState) -> WalletBalance:
    """Measure the wallet, and what is missing in it by no transaction of ours.

    Above the floor whatever is there is taken as it is: only a fall under the floor is judged.
    scope_state: of everything; what a person has seen and resumed after is explained by it.

    Raises:
        Failure: the chain or the database could not be asked.
    """
    chain, accounts, now = bridge.chain, bridge.accounts, bridge.clock()
    mark = accounts.balance_mark(chain.chain_id, chain.wallet)
    account = chain.account()
    seen, resumed = BalanceMark(account=account, at=now), scope_state.resumed_at
    known = mark is not None and not (resumed is not None and mark.at <= resumed)
    missing = 0
    # A nonce that has fallen is a reorg: what was explained is not there any more.
    if mark is not None and known and account.nonce >= mark.account.nonce:
        first, end = mark.account.nonce, account.nonce
        spent = accounts.spent(chain.chain_id, chain.wallet, first=first, end=end)
        if spent is None:
            return WalletBalance(scope=GLOBAL, balance=account.balance)
        missing = mark.account.balance - spent - account.balance
    if missing > 0 and account.balance < floor and not _is_reorged(bridge, mark):
        return WalletBalance(scope=GLOBAL, balance=account.balance, missing=Wei(missing))
    if mark is None or mark.account != account or not known:
        accounts.mark_balance(chain.chain_id, chain.wallet, seen)
    return WalletBalance(scope=GLOBAL, balance=account.balance)


def _is_reorged(bridge: Bridge, mark: BalanceMark | None) -> bool:
    block = mark.account.block if mark is not None else None
    return block is not None and not bridge.chain.has_block(block)
