"""The audit of the running bridge as asset checks, every hour and by hand.

audit   at 23 minutes past each hour: reads what is final again, at the chains and in the store

A failed check is no failed run: red stands where the problem is, with keys and amounts.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import dagster as dg

from mmbot_pipelines.bridge.auditor import findings as bridge_audit
from mmbot_pipelines.bridge.auditor.findings import OF_ORIGIN, OF_WALLET, Check, Finding, Mark
from mmbot_pipelines.bridge.auditor.run import audit
from mmbot_pipelines.core.money import Address, Wei
from mmbot_pipelines.core.outbox import Account, Block
from mmbot_pipelines.core.safety import GLOBAL
from mmbot_pipelines.defs.bridge.assets import ORDERS, TRANSFERS, WALLET, asset_of
from mmbot_pipelines.defs.bridge.metadata import amounts, listed
from mmbot_pipelines.defs.shared.operator_errors import operator_errors

Auditor = dg.ResourceParam[bridge_audit.Auditor]

_MARK = "mark"  # what the next audit needs of this one
_EVERY_HOUR = "23 * * * *"  # apart from all that runs every five minutes

_QUESTIONS = {
    Check.STORED: "Is every order of the last final blocks stored as the escrow has it? Reads the "
    "blocks again.",
    Check.CONTIGUOUS: "Do the stored order ids have no gap? The escrow numbers orders one by one.",
    Check.CURSORS: "Has what was the newest block at the last audit been read since?",
    Check.PUNCTUAL: "Is no healthy order older than its age limit "
    "(MMBOT_UNDELIVERED_AFTER_SECONDS once money is out, MMBOT_WAIT_FOR_PRICE_SECONDS before)?",
    Check.PAYMENTS: "Does each transfer in the registry's log belong to an order, and each paid "
    "order to one transfer, with its amount and recipient?",
    Check.HISTORY: "Is each history a path of legal steps, and no error lost?",
    Check.OUTBOX: "Does Ethereum have each transaction of the outbox with the stored outcome and "
    "cost in gas?",
    Check.NONCES: "Is every nonce of the wallet used by exactly one stored transaction?",
    Check.BALANCE: "Did the wallet lose just what the outbox says, to the wei, since the last "
    "audit? More in it is a warning: a deposit.",
    Check.EXPOSURE: "Is what is paid and not repaid within MMBOT_MAX_EXPOSURE_WEI?",
    Check.FUNDS: "Does the wallet last 12 hours at the rate of the last day?",
}
_ASSETS = {Check.PAYMENTS: TRANSFERS}  # else ORDERS


def definitions(origins: Sequence[str]) -> dg.Definitions:
    """Return the audit of these origins and of the wallet."""
    specs = [
        dg.AssetCheckSpec(check.value, asset=_asset(check, origin), description=_QUESTIONS[check])
        for origin in origins
        for check in OF_ORIGIN
    ]
    specs += [
        dg.AssetCheckSpec(check.value, asset=WALLET, description=_QUESTIONS[check])
        for check in OF_WALLET
    ]

    @dg.multi_asset_check(
        name="audit_bridge",
        specs=specs,
        description="Compare what the chains hold with what the database holds.",
        config_schema={},
    )
    def audit_bridge(
        context: dg.AssetCheckExecutionContext, auditor: Auditor
    ) -> Iterator[dg.AssetCheckResult]:
        with operator_errors():
            findings, mark = audit(auditor, _last_mark(context.instance))
        for finding in findings:
            for problem in finding.problems:
                (context.log.error if finding.is_grave else context.log.warning)(problem)
            yield _result(finding, auditor.bridge.explorers)
            if finding.check is Check.CURSORS:  # lag, for plots of it over time
                key = _asset(finding.check, finding.scope)
                behind = dict(finding.figures)
                context.instance.report_runless_asset_event(
                    dg.AssetObservation(key, metadata=behind)
                )
        context.instance.report_runless_asset_event(
            dg.AssetObservation(WALLET, metadata=_wallet(findings) | {_MARK: _written(mark)})
        )

    job = dg.define_asset_job(
        "audit",
        selection=dg.AssetSelection.checks(audit_bridge),
        description="Compare what the chains hold with what the database holds; sends nothing.",
    )
    schedule = dg.ScheduleDefinition(
        name="audit",
        job=job,
        cron_schedule=_EVERY_HOUR,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Compares what the chains hold with what the database holds, every hour.",
    )
    return dg.Definitions(asset_checks=[audit_bridge], jobs=[job], schedules=[schedule])


def _asset(check: Check, scope: str) -> dg.AssetKey:
    if check in OF_WALLET:
        return WALLET
    return asset_of(_ASSETS.get(check, ORDERS), scope)


def _result(finding: Finding, explorers: Mapping[str, str]) -> dg.AssetCheckResult:
    of_l1 = finding.check is Check.PAYMENTS  # an origin's, but on Ethereum
    explorer = explorers.get(GLOBAL if of_l1 else finding.scope)
    return dg.AssetCheckResult(
        check_name=finding.check.value,
        asset_key=_asset(finding.check, finding.scope),
        passed=not finding.problems,
        severity=dg.AssetCheckSeverity.ERROR if finding.is_grave else dg.AssetCheckSeverity.WARN,
        description=finding.problems[0] if finding.problems else finding.note or None,
        metadata={
            "checked": finding.checked,
            **finding.figures,
            **amounts(finding.amounts),
            **({"problems": listed(finding.problems, explorer)} if finding.problems else {}),
        },
    )


def _wallet(findings: Sequence[Finding]) -> dict[str, Any]:
    """Return what the audit saw of the wallet, for plots of it over time."""
    metadata: dict[str, Any] = {}
    for finding in findings:
        if finding.check in OF_WALLET:
            metadata |= amounts(finding.amounts)
    return metadata


def _written(mark: Mark) -> dg.JsonMetadataValue:
    # Balances as text: JSON's readers may take them for floats.
    accounts = {
        wallet: asdict(account) | {"balance": str(account.balance)}
        for wallet, account in mark.accounts.items()
    }
    return dg.JsonMetadataValue(
        {"accounts": accounts, "heads": dict(mark.heads), "heads_at": mark.heads_at.isoformat()}
    )


def _last_mark(instance: dg.DagsterInstance) -> Mark | None:
    """Return what the last audit saw; None before the first, or where it cannot be read."""
    records = instance.fetch_observations(WALLET, limit=1).records
    observed = records[0].asset_observation if records else None
    written = observed.metadata.get(_MARK) if observed else None
    if not isinstance(written, dg.JsonMetadataValue) or not isinstance(written.value, Mapping):
        return None
    try:
        return _read(written.value)
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def _read(written: Mapping[str, Any]) -> Mark:
    return Mark(
        accounts={Address(w): _account(account) for w, account in written["accounts"].items()},
        heads={o: {k: int(n) for k, n in kinds.items()} for o, kinds in written["heads"].items()},
        heads_at=datetime.fromisoformat(written["heads_at"]),
    )


def _account(written: Mapping[str, Any]) -> Account:
    block = written["block"]
    return Account(
        nonce=int(written["nonce"]),
        balance=Wei(int(written["balance"])),
        block=block and Block(int(block["number"]), str(block["hash"])),
    )
