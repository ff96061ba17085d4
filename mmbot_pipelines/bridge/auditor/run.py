"""Audit a bot that runs: what became final lately, of each origin and of the wallets.

Reads chains and store, writes nothing. The judgement is in `bridge.audit`; here stands what is
read for it, and how much: a window of blocks, and at most so many rows.
"""

from mmbot_pipelines.bridge.auditor.chain import check_l1
from mmbot_pipelines.bridge.auditor.findings import HEADS_AGE, Auditor, Finding, Mark
from mmbot_pipelines.bridge.auditor.origin import check_origin, read_heads
from mmbot_pipelines.bridge.auditor.wallet import check_wallets


def audit(auditor: Auditor, before: Mark | None) -> tuple[list[Finding], Mark]:
    """Check everything; what a chain does not answer is a warning, and the rest goes on.

    before: what the last audit returned beside its findings.

    Raises:
        StoreUnavailable: nothing can be checked.
    """
    now = auditor.bridge.clock()
    heads = {origin: read_heads(auditor, origin) for origin in auditor.bridge.origins}
    of_wallet, accounts = check_wallets(auditor, before.accounts if before else {})
    findings = [*check_l1(auditor), *of_wallet]
    for origin in auditor.bridge.origins:
        findings += check_origin(auditor, origin, heads[origin], before)
    if before is not None and now - before.heads_at < HEADS_AGE:
        return findings, Mark(accounts=accounts, heads=before.heads, heads_at=before.heads_at)
    return findings, Mark(accounts=accounts, heads=heads, heads_at=now)
