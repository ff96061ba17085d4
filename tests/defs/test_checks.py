"""The audit as Dagster runs it: one green run, a check for each question, red with its keys."""

from typing import Any

import dagster as dg

from mmbot_pipelines.adapters.db.bridge.audit import PgAuditRecords
from mmbot_pipelines.adapters.db.bridge.reports import PgReports
from mmbot_pipelines.bridge.auditor.findings import OF_ORIGIN, OF_WALLET, Auditor, Check
from mmbot_pipelines.defs.bridge import assets, checks
from mmbot_pipelines.defs.bridge.assets import WALLET
from tests.bridge.harness import BridgeHarness


def audit(harness: BridgeHarness, instance: dg.DagsterInstance) -> dict[str, Any]:
    """Run the job of the schedule; return each check's evaluation."""
    auditor = Auditor(
        bridge=harness.bridge,
        records=PgAuditRecords(harness.engine),
        payments=harness.registry,
        reports=PgReports(harness.engine),
        blocks=100,
    )
    parts = [assets.definitions(["zksync"]), checks.definitions(["zksync"])]
    defs = dg.Definitions.merge(*parts, dg.Definitions(resources={"auditor": auditor}))
    done = defs.get_job_def("audit").execute_in_process(instance=instance)
    assert done.success
    return {e.check_name: e for e in done.get_asset_check_evaluations()}


def test_an_audit_is_one_run_that_answers_every_question(harness: BridgeHarness) -> None:
    with dg.instance_for_test() as instance:
        found = audit(harness, instance)
        assert set(found) == {*OF_ORIGIN, *OF_WALLET}
        assert all(evaluation.passed for evaluation in found.values())
        assert found[Check.CONTIGUOUS].asset_key == dg.AssetKey(["escrow_orders", "zksync"])
        assert found[Check.PAYMENTS].asset_key == dg.AssetKey(["transfers", "zksync"])
        balance = found[Check.BALANCE].metadata
        assert balance["balance (ETH)"].value == 10_000.0
        assert balance["balance (wei)"].value == str(10**22)
        assert len(instance.get_runs()) == 1


def test_what_an_audit_saw_is_what_the_next_one_compares_with(harness: BridgeHarness) -> None:
    with dg.instance_for_test() as instance:
        assert audit(harness, instance)[Check.BALANCE].description.startswith("first look")
        harness.chain.endowment -= 7
        lost = audit(harness, instance)[Check.BALANCE]
        assert (lost.passed, lost.severity) == (False, dg.AssetCheckSeverity.ERROR)
        assert lost.description.startswith("0.000000000000000007 ETH (7 wei) left the wallet")
        assert lost.metadata["problems"].value.startswith("- 0.000000000000000007 ETH (7 wei)")
        assert audit(harness, instance)[Check.BALANCE].passed
        harness.chain.endowment += 9
        came = audit(harness, instance)[Check.BALANCE]
        assert (came.passed, came.severity) == (False, dg.AssetCheckSeverity.WARN)
        observed = instance.fetch_observations(WALLET, limit=9).records
        assert len(observed) == 4
        # Anybody may report an observation by hand: one that cannot be read is none.
        for strange in ("x", {"account": 3}, {"account": None, "heads": {}, "heads_at": "?"}):
            metadata = {"mark": dg.JsonMetadataValue(strange) if strange != "x" else strange}
            instance.report_runless_asset_event(dg.AssetObservation(WALLET, metadata=metadata))
            assert audit(harness, instance)[Check.BALANCE].description.startswith("first look")
