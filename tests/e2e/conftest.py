"""One whole product, started once for all tests of this folder."""

from collections.abc import Iterator

import pytest

from tests.chaos.faulty_stack import FaultyStack
from tests.e2e.product import Product


@pytest.fixture(scope="package")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    home = tmp_path_factory.mktemp("product")
    with FaultyStack(home, nodes=1, chains=["STARKNET"], settings={}) as stack:
        yield Product(stack)
