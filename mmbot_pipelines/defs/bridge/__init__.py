"""The bridge in Dagster: sensors, jobs, schedules and their resources."""
