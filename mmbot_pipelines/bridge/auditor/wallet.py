"""Check the wallets: what left them, what is out, and how long they last."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from mmbot_pipelines.bridge.app import Bridge
from mmbot_pipelines.bridge.auditor.findings import Auditor, Check, Finding, of_all, unknown
from mmbot_pipelines.bridge.ports.reports import total
from mmbot_pipelines.core.errors import Failure, StoreUnavailable
from mmbot_pipelines.core.money import Address, Wei, format_ether
from mmbot_pipelines.core.outbox import Account
from mmbot_pipelines.core.safety import GLOBAL

_FUNDS_HOURS = 12  # that the wallet must last


def check_wallets(
    auditor: Auditor, before: Mapping[Address, Account]
) -> tuple[list[Finding], dict[Address, Account]]:
    """Check all wallets; return also what the next audit compares with."""
    balances, accounts = {}, {}
    for lane in auditor.bridge.lanes:
        wallet = lane.chain.wallet
        balances[wallet], account = _balance(lane, before.get(wallet))
        if account is not None:
            accounts[wallet] = account
    funds = _funds(auditor, accounts, auditor.bridge.clock())
    return [of_all(balances), _exposure(auditor), funds], accounts


def _balance(bridge: Bridge, before: Account | None) -> tuple[Finding, Account | None]:
    """Compare what a wallet lost since the last audit with what the outbox says it spent."""
    try:
        now = bridge.chain.account()
        if before is None or before.block is None or now.nonce < before.nonce:
            return _balanced(now, "first look: the next audit compares"), now
        if not bridge.chain.has_block(before.block):
            return _balanced(now, "a reorg took the last audit's block: begun again"), now
    except StoreUnavailable:
        raise
    except Failure as e:
        return unknown(Check.BALANCE, GLOBAL, e), before
    spent = bridge.accounts.spent(
        bridge.chain.chain_id, bridge.chain.wallet, first=before.nonce, end=now.nonce
    )
    if spent is None:
        return _balanced(now, "a receipt is not read yet: the next audit compares"), before
    off = (now.balance - before.balance) + spent
    problems = []
    if off < 0:
        problems.append(
            f"{format_ether(-off)} left the wallet {bridge.chain.wallet} between block "
            f"{before.block.number} and now by no transaction of the bot"
        )
    elif off > 0:
        problems.append(
            f"{format_ether(off)} came into the wallet {bridge.chain.wallet} since block "
            f"{before.block.number}: a deposit, if you made one"
        )
    finding = replace(
        _balanced(now, f"compared since block {before.block.number}"),
        checked=now.nonce - before.nonce,
        problems=problems,
        is_grave=off < 0,
    )
    return finding, now


def _balanced(account: Account, note: str) -> Finding:
    return Finding(
        check=Check.BALANCE,
        scope=GLOBAL,
        checked=0,
        problems=[],
        figures={"nonce": account.nonce},
        amounts={"balance": account.balance},
        note=note,
    )


def _exposure(auditor: Auditor) -> Finding:
    out, limit = auditor.bridge.store.orders.exposure(), auditor.bridge.rules.caps.exposure
    problems = []
    if limit is not None and out > limit:
        problems.append(
            f"{format_ether(out)} are paid out and not repaid, more than the "
            f"{format_ether(limit)} of MMBOT_MAX_EXPOSURE_WEI"
        )
    amounts = {"exposure": out} | ({} if limit is None else {"limit": limit})
    return Finding(
        check=Check.EXPOSURE, scope=GLOBAL, checked=1, problems=problems, amounts=amounts
    )


def _funds(auditor: Auditor, accounts: Mapping[Address, Account], now: datetime) -> Finding:
    """Check that the wallets last some hours at the rate of the last day."""
    day = total(d.figures for d in auditor.reports.days(since=now - timedelta(days=1)))
    hourly = Wei((day.paid + day.gas_paid + day.messages_paid) // 24)
    problems: list[str] = []
    figures = {}
    if accounts and hourly:
        balance = Wei(sum(account.balance for account in accounts.values()))
        hours = balance // hourly
        figures["hours left"] = hours
        if hours < _FUNDS_HOURS:
            problems.append(
                f"{', '.join(accounts)}: {format_ether(balance)} in the wallet, {hours} hours at "
                f"the {format_ether(hourly)} an hour of the last day; send "
                f"{format_ether(hourly * _FUNDS_HOURS - balance)} or more to it on L1"
            )
    return Finding(
        check=Check.FUNDS,
        scope=GLOBAL,
        checked=1,
        problems=problems,
        is_grave=False,
        figures=figures,
        amounts={"spent per hour": hourly},
    )
