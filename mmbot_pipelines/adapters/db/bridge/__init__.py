"""The tables of the bridge in Postgres."""
