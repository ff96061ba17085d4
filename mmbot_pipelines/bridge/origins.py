"""The networks whose escrows hold orders, a line for each. Pure.

To add one: its line here, the module or folder of its name in `adapters/bridge`, `wiring/origins`,
`settings/bridge` and `cli/doctor`; the suite of the port `Origin` runs on it then.
"""

# Each with the number that the PaymentRegistry has for it, not its EIP-155 chain id.
ORIGINS = {
    "zksync": 1,
    "starknet": 0,
}

EXAMPLE_KEY = f"{next(iter(ORIGINS))}:7"  # how an order is named, for messages
