"""The Redis-compatible broker that hands runs to warm workers."""
