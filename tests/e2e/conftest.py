"""One whole product, started once for all tests of this folder."""

from collections.abc import Iterator

import pytest

from mmbot_pipelines.devnet.orders import burst
from tests.chaos.faulty_stack import FaultyStack
from tests.e2e.product import Product

# The explorers are for the pictures; nothing opens them.
SETTINGS = {
    "MMBOT_LOG_FORMAT": "json",
    "MMBOT_EXPLORER_URLS": "L1=https://etherscan.io,zksync=https://explorer.zksync.io",
}


@pytest.fixture(scope="package")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    home = tmp_path_factory.mktemp("product")
    with FaultyStack(home, nodes=1, chains=["STARKNET"], settings=SETTINGS) as stack:
        yield Product(stack)


@pytest.fixture(scope="package")
def completed(product: Product) -> list[str]:
    """Return the keys of two orders of one block that went all the way, each in runs of its own."""
    keys = product.place(burst(product.stack.deployment, 2, seed=6))
    product.await_completed(keys)
    return keys
