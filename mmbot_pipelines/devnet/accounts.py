"""The development accounts that every anvil funds, and who plays whom."""

from functools import cache

from eth_account import Account
from eth_account.signers.local import LocalAccount

MNEMONIC = "test test test test test test test test test test test junk"  # anvil's default

OWNER = 0  # deploys and owns the contracts of L1
MARKET_MAKER = 1
USERS = range(2, 9)
ORIGIN_OWNER = 9  # deploys the escrow: no address is then used on both chains


@cache
def account(index: int) -> LocalAccount:
    """Return a development account with its key, by its place in anvil's list."""
    Account.enable_unaudited_hdwallet_features()
    found: LocalAccount = Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{index}")
    return found
