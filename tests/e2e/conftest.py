"""One whole product, started once for all tests of this folder."""

from collections.abc import Iterator

import pytest

from mmbot_pipelines.devnet.stack import ORIGINS, Stack
from tests.e2e.product import Product


@pytest.fixture(scope="package")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with Stack(tmp_path_factory.mktemp("product"), origins=ORIGINS) as stack:
        yield Product(stack)
