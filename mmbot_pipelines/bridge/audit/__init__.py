"""The audit: what the chains hold against what the database holds."""
