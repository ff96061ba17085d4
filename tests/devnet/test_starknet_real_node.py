"""The reading suite against any real Starknet node."""

import os

import pytest

from tests.devnet.starknet_reading import ReadingSuite
from tests.devnet.starknet_rpc import Rpc

VARIABLE = "MMBOT_TEST_STARKNET_RPC"


@pytest.fixture(scope="module")
def rpc() -> Rpc:
    url = os.environ.get(VARIABLE)
    if not url:
        pytest.skip(f"set {VARIABLE} to the URL of a Starknet node (JSON-RPC 0.10.2) to run this")
    return Rpc(url)


@pytest.mark.starknet_node
class TestReading(ReadingSuite):
    pass
