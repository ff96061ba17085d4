"""All definitions of the product as one readable JSON file; `make snapshot` writes it again."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg

from mmbot_pipelines import definitions, settings
from mmbot_pipelines.defs.bridge import application
from tests.test_wiring import SERVING_BOTH

FILE = Path(__file__).with_name("definitions.json")


def snapshot() -> str:
    """Return what Dagster is given where both origins are served."""
    read = settings.load(SERVING_BOTH)
    parts = [application.merged(read, date(2026, 11, 20))]
    defs = definitions.merged(parts, read.database.run_retention_days)
    repository = defs.get_repository_def()
    written = {
        "assets": {
            spec.key.to_user_string(): {
                "partitions": getattr(spec.partitions_def, "name", None),
                "group": spec.group_name,
                "tags": dict(sorted(spec.tags.items())),
                "description": spec.description,
            }
            for spec in sorted(defs.resolve_all_asset_specs(), key=lambda s: s.key)
        },
        "asset_checks": sorted(
            key.to_user_string() for key in repository.asset_graph.asset_check_keys
        ),
        "jobs": {job.name: _job(job) for job in _by_name(repository.get_all_jobs())},
        "sensors": {s.name: _sensor(s) for s in _by_name(repository.sensor_defs)},
        "schedules": {s.name: _schedule(s) for s in _by_name(repository.schedule_defs)},
        "resources": {
            name: type(resource).__name__
            for name, resource in sorted((defs.resources or {}).items())
        },
    }
    return json.dumps(written, indent=2) + "\n"


def _by_name(definitions: Any) -> list[Any]:
    return sorted(definitions, key=lambda definition: definition.name)


def _job(job: dg.JobDefinition) -> dict[str, Any]:
    return {
        "description": job.description,
        "ops": {
            node.name: {
                "config": _fields(node.definition.config_schema.as_field().config_type),
                "resources": sorted(node.definition.required_resource_keys),
                "description": node.definition.description,
            }
            for node in _by_name(job.nodes)
        },
        "launchpad": dict(job.run_config or {}),
        "tags": dict(job.tags),
        "executor": job.executor_def.name,
    }


def _fields(config: Any) -> dict[str, str]:
    fields = getattr(config, "fields", None) or {}
    return {name: _type(field.config_type) for name, field in sorted(fields.items())}


def _type(config: Any) -> str:
    inner = getattr(config, "inner_type", None)
    return f"[{_type(inner)}]" if inner is not None else str(config.given_name or config.key)


def _sensor(sensor: dg.SensorDefinition) -> dict[str, Any]:
    return {
        "description": sensor.description,
        "type": sensor.sensor_type.value,
        "jobs": sorted(target.job_name for target in sensor.targets),
        "interval_seconds": sensor.minimum_interval_seconds,
        "default_status": sensor.default_status.value,
        "resources": sorted(sensor.required_resource_keys),
        "tags": dict(sensor.tags),
    }


def _schedule(schedule: dg.ScheduleDefinition) -> dict[str, Any]:
    return {
        "description": schedule.description,
        "job": schedule.job_name,
        "cron": schedule.cron_schedule,
        "timezone": schedule.execution_timezone,
        "default_status": schedule.default_status.value,
        "tags": dict(schedule.tags),
    }


if __name__ == "__main__":
    FILE.write_text(snapshot())
    print(f"written: {FILE}")
