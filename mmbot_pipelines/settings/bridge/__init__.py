"""Settings that only the bridge has."""
