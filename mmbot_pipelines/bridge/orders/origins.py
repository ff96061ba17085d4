"""The networks whose escrows hold orders, a line for each. Pure.

To add one: its line here, and the module or folder of its name in `adapters/bridge`,
`wiring/origins`, `settings/bridge` and `cli/doctor`. Its `registry.py` in `adapters/bridge` has its
claims and the registry's getter of its number (`CLAIMS`, `CHAIN_ID`). The tests then ask for its
files, and for the ports that the suite of `Origin` runs on (tests/ports/conftest.py).
"""

# Each with the number that each ABI of the PaymentRegistry has for it.
ORIGINS = {
    "zksync": {"v1": 1, "v2": 324},
    "starknet": {"v1": 0, "v2": 0x534E5F4D41494E},  # "SN_MAIN"
}

EXAMPLE_KEY = f"{next(iter(ORIGINS))}:7"  # how an order is named, for messages
