"""What every application needs of Dagster."""
