"""zkSync as an origin of orders."""
