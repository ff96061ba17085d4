"""The safety states as Dagster has them: one sensor, two jobs."""

import dagster as dg
import pytest

from mmbot_pipelines.core.safety import GLOBAL, State, of
from mmbot_pipelines.defs import safety
from tests.bridge.world import World

JOBS = {job.name: job for job in safety.definitions.jobs or [] if isinstance(job, dg.JobDefinition)}


def launch(world: World, job: str, **config: str) -> str:
    """Run a job; return what it failed with, or nothing."""
    run = JOBS[job].execute_in_process(
        run_config={"ops": {f"{job}_transfers": {"config": config}}},
        resources={"bridge": world.bridge},
        raise_on_error=False,
    )
    failures = [e.step_failure_data for e in run.all_events if e.is_step_failure]
    return failures[0].user_failure_data.description if failures else ""


def state(world: World) -> State:
    return of(world.safety.standings(), GLOBAL).state


def tick(world: World) -> str:
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_sensor_context(
            instance, sensor_name="safety", resources={"bridge": world.bridge}
        )
        told = safety.safety_sensor(context)
    assert isinstance(told, dg.SkipReason)
    return str(told.skip_message)


def test_a_person_halts_and_resumes(world: World) -> None:
    assert launch(world, "halt", by="Ann", reason="a look") == ""
    assert state(world) is State.HALTED
    assert launch(world, "resume", by="Bo", reason="well") == ""
    assert state(world) is State.NORMAL
    assert [c.by for c in world.safety.changes(9)] == ["Bo", "Ann"]


@pytest.mark.parametrize("job", ["halt", "resume"])
@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"by": "", "reason": "x"}, "it needs a name"),
        ({"by": "Ann", "reason": ""}, "it needs a reason"),
        ({"by": "Ann", "reason": "x", "scope": "nowhere"}, "choose one of global, zksync"),
    ],
)
def test_a_word_that_is_not_whole_fails_the_run_in_one_line(
    world: World, job: str, config: dict[str, str], says: str
) -> None:
    said = launch(world, job, **config)
    assert says in said
    assert len(said.splitlines()) == 1
    assert world.safety.standings() == []


def test_the_launchpad_offers_the_fields(world: World) -> None:
    offered = JOBS["resume"].run_config
    assert {"ops": offered["ops"]} == {
        "ops": {"resume_transfers": {"config": {"by": "", "reason": "", "scope": "global"}}}
    }


def test_the_sensor_judges_and_says_what_is_not_normal(world: World) -> None:
    assert tick(world) == "NORMAL"
    world.chain.endowment = 0
    launch(world, "halt", by="Ann", reason="a look")
    assert tick(world) == "global is HALTED since 2026-11-20 12:00:00 UTC by Ann: a look"


def test_the_sensor_says_in_one_line_that_the_database_is_away(world: World) -> None:
    world.store.down = True
    with pytest.raises(dg.Failure) as red:
        tick(world)
    away = "nothing is sent while the database is away: database of the test: down"
    assert red.value.description == f"StoreUnavailable: {away}"


def test_the_sensor_runs_by_itself_every_five_seconds() -> None:
    sensor = safety.safety_sensor
    assert sensor.name == "safety"
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    assert sensor.minimum_interval_seconds == 5
