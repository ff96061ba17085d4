"""The circuit breaker in Dagster: a sensor opens it, a person may open and close it.

safety   every 5 s: measures, then throttles, halts or returns to NORMAL
halt     from the launchpad: stops transfers
resume   from the launchpad: ends a halt, as `mmbot resume` does; nothing else ends one
"""

from typing import Protocol

import dagster as dg

from mmbot_pipelines.bridge import guard, steps
from mmbot_pipelines.core import safety
from mmbot_pipelines.core.errors import StoreUnavailable
from mmbot_pipelines.defs.bridge.run_requests import Bridge, op_run, sensor_run
from mmbot_pipelines.defs.shared.operator_errors import operator_errors

_MIN_SECONDS = 5


# A person's decision, as the launchpad asks for it.
_DECISION = {
    "by": dg.Field(dg.String, description="Your name."),
    "reason": dg.Field(dg.String, description="Why, for those who read it later."),
    "scope": dg.Field(
        dg.String, default_value=safety.GLOBAL, description='"global", or one origin.'
    ),
}


class _Decide(Protocol):
    def __call__(
        self, bridge: steps.Bridge, scope: str, *, by: str, reason: str
    ) -> safety.ScopeState: ...


@dg.sensor(
    name="safety",
    minimum_interval_seconds=_MIN_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Measures failures, money and chains; throttles, halts or returns to NORMAL.",
)
@operator_errors()
def safety_sensor(context: dg.SensorEvaluationContext, bridge: Bridge) -> dg.SkipReason:
    try:
        strict = steps.guard(bridge, sensor_run(context))
    except StoreUnavailable as e:
        raise StoreUnavailable(f"nothing is sent while the database is away: {e}") from None
    states = [s.summary for s in strict] or ["NORMAL"]
    dry = ["MMBOT_DRY_RUN is true: nothing is signed or sent"] if bridge.rules.dry_run else []
    return dg.SkipReason("; ".join([*states, *dry]))


def _job(name: str, description: str, decide: _Decide) -> dg.JobDefinition:
    op_name = f"{name}_transfers"  # Dagster refuses the job's own name

    @dg.op(name=op_name, description=description, config_schema=_DECISION)
    def op(context: dg.OpExecutionContext, bridge: Bridge) -> None:
        given = context.op_config
        with operator_errors():
            now = decide(bridge, given["scope"], by=given["by"], reason=given["reason"])
            op_run(context, bridge).log(f"safety: {now.summary}")

    @dg.job(
        name=name,
        description=description,
        executor_def=dg.in_process_executor,
        config={
            "ops": {op_name: {"config": {"by": "", "reason": "", "scope": safety.GLOBAL}}},
        },
    )
    def job() -> None:
        op()

    return job


definitions = dg.Definitions(
    jobs=[
        _job(
            "halt",
            "Stop transfers; claims go on. Give your name and the reason.",
            guard.halt,
        ),
        _job(
            "resume",
            "Send transfers again; resets the failure counts. Give your name and the reason.",
            guard.resume,
        ),
    ],
    sensors=[safety_sensor],
)
