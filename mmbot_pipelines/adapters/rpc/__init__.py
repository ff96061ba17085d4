"""Any chain that speaks JSON-RPC: its nodes, their health, failover, errors and decoding."""
