"""One order: its fields, the table of its statuses, and what is kept of its way. Pure."""
