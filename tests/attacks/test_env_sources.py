"""A launched run that names environment variables instead of values, to read the wallet's key."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import create_engine, text

from mmbot_pipelines.adapters.db.urls import store_url
from mmbot_pipelines.defs.bridge import failed_orders, orders
from tests.attacks.dagster_server import SECRET, SECRET_NAME, DagsterServer
from tests.bridge.harness import BridgeHarness
from tests.polling import until

ASSETS = "__ASSET_JOB"  # what Dagster launches where an asset is materialized
ENV = {"env": SECRET_NAME}
JOBS = """{ repositoriesOrError { ... on RepositoryConnection { nodes {
    name location { name } jobs { name } } } } }"""
SCHEMA = """query ($selector: PipelineSelector!) { runConfigSchemaOrError(selector: $selector) {
    __typename ... on RunConfigSchema { rootConfigType { key } allConfigTypes {
        __typename key
        ... on RegularConfigType { givenName }
        ... on CompositeConfigType { fields { name isRequired configTypeKey } }
        ... on WrappingConfigType { ofType { key } }
        ... on MapConfigType { keyType { key } valueType { key } }
        ... on ScalarUnionConfigType { scalarTypeKey nonScalarTypeKey }
    } } } }"""
LAUNCH = """mutation ($params: ExecutionParams!) { launchRun(executionParams: $params) {
    __typename ... on LaunchRunSuccess { run { runId } }
    ... on RunConfigValidationInvalid { errors { reason message stack { entries {
        __typename ... on EvaluationStackPathEntry { fieldName }
        ... on EvaluationStackListItemEntry { listIndex } } } } } } }"""
STATUS = "query ($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"
PLAIN = {"String": "x", "Int": 1, "Float": 1.0, "Bool": True, "Any": "x"}


class Schema:
    """A job's configuration: values that fit it, and every place that takes one."""

    def __init__(self, reported: dict[str, Any]) -> None:
        self.root = reported["rootConfigType"]["key"]
        self.types = {t["key"]: t for t in reported["allConfigTypes"]}

    def value(self, key: str) -> Any:
        """Return the smallest plain value of a type."""
        kind = self.types[key]
        fields = kind.get("fields", [])
        match kind["__typename"], kind.get("isSelector"):
            case "CompositeConfigType", _ if key.startswith("Selector."):
                return {fields[0]["name"]: self.value(fields[0]["configTypeKey"])}
            case "CompositeConfigType", _:
                required = (f for f in fields if f["isRequired"])
                return {f["name"]: self.value(f["configTypeKey"]) for f in required}
            case "ArrayConfigType", _:
                return []
            case "NullableConfigType", _:
                return None
            case "MapConfigType", _:
                return {}
            case "ScalarUnionConfigType", _:
                return self.value(kind["scalarTypeKey"])
        return PLAIN[kind["givenName"]]

    def attacks(self, key: str | None = None) -> Iterator[tuple[tuple[str, ...], Any]]:
        """Yield each place by its path, with a value that fits but for the variable in it."""
        key = key or self.root
        kind = self.types[key]
        yield (), ENV
        if kind["__typename"] == "CompositeConfigType":
            whole = {} if key.startswith("Selector.") else self.value(key)
            for field in kind["fields"]:
                for path, value in self.attacks(field["configTypeKey"]):
                    yield (field["name"], *path), whole | {field["name"]: value}
        elif kind["__typename"] in ("ArrayConfigType", "NullableConfigType"):
            for path, value in self.attacks(kind["ofType"]["key"]):
                listed = kind["__typename"] == "ArrayConfigType"
                yield path, [value] if listed else value
        elif kind["__typename"] == "MapConfigType":
            for path, value in self.attacks(kind["valueType"]["key"]):
                yield path, {"x": value}
        elif kind["__typename"] == "ScalarUnionConfigType":
            yield from self.attacks(kind["nonScalarTypeKey"])

    @property
    def ignored(self) -> list[str]:
        """Return the sections that take whatever they are given, and hand it to nobody."""
        fields = self.types[self.root]["fields"]
        return [f["name"] for f in fields if f["configTypeKey"].startswith("Permissive.")]


def selectors(dagster_server: DagsterServer) -> Iterator[dict[str, Any]]:
    """Yield every job of the code location, and the assets as a person materializes them."""
    for repository in dagster_server.ask(JOBS)["repositoriesOrError"]["nodes"]:
        for job in repository["jobs"]:
            selector = {
                "repositoryName": repository["name"],
                "repositoryLocationName": repository["location"]["name"],
                "pipelineName": job["name"],
            }
            yield selector
            if job["name"] == ASSETS:
                yield selector | {"assetSelection": [{"path": ["failed_order"]}]}


def ended(dagster_server: DagsterServer, run: str) -> bool:
    return dagster_server.ask(STATUS, id=run)["runOrError"]["status"] in (
        "SUCCESS",
        "FAILURE",
        "CANCELED",
    )


@pytest.mark.timeout(600)  # some hundred launches
def test_no_field_of_any_launchable_run_reads_the_environment(
    dagster_server: DagsterServer,
) -> None:
    tried: set[str] = set()
    ignoring: dict[str, Any] = {}
    for selector in selectors(dagster_server):
        reported = dagster_server.ask(SCHEMA, selector=selector)["runConfigSchemaOrError"]
        schema = Schema(reported)
        if schema.ignored:
            whatever = dict.fromkeys(schema.ignored, ENV)
            ignoring = {"selector": selector, "runConfigData": whatever}
        for path, config in schema.attacks():
            if ".".join(path) in schema.ignored:
                continue
            params = {"selector": selector, "runConfigData": config}
            answer = dagster_server.ask(LAUNCH, params=params)["launchRun"]
            at = ".".join((selector["pipelineName"], *path))
            tried.add(at)
            assert answer["__typename"] == "RunConfigValidationInvalid", (at, answer)
            for error in answer["errors"]:
                fields = [e["fieldName"] for e in error["stack"]["entries"] if "fieldName" in e]
                # Refused at that very place, and not for something else in the configuration.
                assert tuple(fields) == path, (at, error)
                assert SECRET not in error["message"]
    launched = dagster_server.ask(LAUNCH, params=ignoring)["launchRun"]["run"]["runId"]
    until(lambda: ended(dagster_server, launched))
    assert {
        "resume.ops.resume_transfers.config.reason",
        "reprocess_order.ops.reprocess.config.zksync",
        "show_order.ops.order_history.config.starknet",
        "fill_orders.loggers.console.config.name",
        "fill_orders.resources.io_manager.config",
        f"{ASSETS}.ops.failed_order.config",
    } <= tried
    with create_engine(store_url(dagster_server.database_url)).connect() as connection:
        for table in ("dagster.runs", "dagster.event_logs", "dagster.run_tags", "mmbot.errors"):
            rows = connection.execute(text(f"SELECT t::text FROM {table} AS t")).scalars()
            assert not [row for row in rows if SECRET in row], table
    assert SECRET not in dagster_server.written()


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


NO_KEYS = [SECRET, f"zksync:{SECRET}", "zksync:7\n", "zksync:" + "7" * 79, "solana:7", ""]


@pytest.mark.parametrize("key", NO_KEYS)
def test_a_text_that_is_no_order_key_is_repeated_nowhere(
    key: str, instance: dg.DagsterInstance
) -> None:
    harness, logged = BridgeHarness(), []
    for name, config in {
        "fill_orders": {"transfer": {"config": {"order_keys": ["zksync:1", key]}}},
        "repay_orders": {"repay": {"config": {"order_keys": [key]}}},
    }.items():
        whole = dg.Definitions.merge(
            failed_orders.definitions,
            orders.definitions(["zksync"], 4),
            dg.Definitions(resources={"bridge": harness.bridge}),
        )
        run = whole.resolve_job_def(name).execute_in_process(
            run_config={"ops": config}, instance=instance, raise_on_error=False
        )
        assert not run.success
        ended = instance.get_run_by_id(run.run_id)
        assert ended is not None
        logged += [str(event) for event in run.all_events]
        logged.append(str(ended.tags))
    assert len(key) < 2 or key not in "\n".join(logged)
