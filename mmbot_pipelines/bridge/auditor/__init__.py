"""The audit of a bot that runs, for Dagster's asset checks."""
