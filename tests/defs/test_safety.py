"""The safety states as Dagster has them: one sensor, two jobs."""

import dagster as dg
import pytest

from mmbot_pipelines.core.safety import GLOBAL, State, state_of
from mmbot_pipelines.defs.bridge import safety
from tests.bridge.harness import BridgeHarness

JOBS = {job.name: job for job in safety.definitions.jobs or [] if isinstance(job, dg.JobDefinition)}


def launch(harness: BridgeHarness, job: str, **config: str) -> str:
    """Run a job; return what it failed with, or nothing."""
    run = JOBS[job].execute_in_process(
        run_config={"ops": {f"{job}_transfers": {"config": config}}},
        resources={"bridge": harness.bridge},
        raise_on_error=False,
    )
    failures = [e.step_failure_data for e in run.all_events if e.is_step_failure]
    return failures[0].user_failure_data.description if failures else ""


def state(harness: BridgeHarness) -> State:
    return state_of(harness.store.safety.scope_states(), GLOBAL).state


def tick(harness: BridgeHarness) -> str:
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_sensor_context(
            instance, sensor_name="safety", resources={"bridge": harness.bridge}
        )
        reported = safety.safety_sensor(context)
    assert isinstance(reported, dg.SkipReason)
    return str(reported.skip_message)


def test_a_person_halts_and_resumes(harness: BridgeHarness) -> None:
    assert launch(harness, "halt", by="Ann", reason="a look") == ""
    assert state(harness) is State.HALTED
    assert launch(harness, "resume", by="Bo", reason="well") == ""
    assert state(harness) is State.NORMAL
    assert [c.by for c in harness.store.safety.changes(9)] == ["Bo", "Ann"]


@pytest.mark.parametrize("job", ["halt", "resume"])
@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"by": "", "reason": "x"}, "it needs a name"),
        ({"by": "Ann", "reason": ""}, "it needs a reason"),
        ({"by": "Ann", "reason": "x", "scope": "nowhere"}, "choose one of global, zksync"),
    ],
)
def test_a_word_that_is_not_whole_fails_the_run_in_one_line(
    harness: BridgeHarness, job: str, config: dict[str, str], expected: str
) -> None:
    logged = launch(harness, job, **config)
    assert expected in logged
    assert len(logged.splitlines()) == 1
    assert harness.store.safety.scope_states() == []


def test_the_launchpad_offers_the_fields(harness: BridgeHarness) -> None:
    offered = JOBS["resume"].run_config
    assert {"ops": offered["ops"]} == {
        "ops": {"resume_transfers": {"config": {"by": "", "reason": "", "scope": "global"}}}
    }


def test_the_sensor_judges_and_reports_what_is_not_normal(harness: BridgeHarness) -> None:
    assert tick(harness) == "NORMAL"
    harness.chain.endowment = 0
    launch(harness, "halt", by="Ann", reason="a look")
    assert tick(harness) == "global is HALTED since 2026-11-20 12:00:00 UTC by Ann: a look"


def test_the_sensor_reports_in_one_line_that_the_database_is_away(harness: BridgeHarness) -> None:
    with harness.unreachable(), pytest.raises(dg.Failure) as red:
        tick(harness)
    away = "StoreUnavailable: nothing is sent while the database is away: database "
    assert str(red.value.description).startswith(away)


def test_the_sensor_runs_by_itself_every_five_seconds() -> None:
    sensor = safety.safety_sensor
    assert sensor.name == "safety"
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    assert sensor.minimum_interval_seconds == 5
