"""Settings become adapters, adapters become applications."""
