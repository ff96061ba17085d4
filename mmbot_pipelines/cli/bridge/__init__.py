"""Commands about the orders of the bridge."""
