"""Fake nodes for the tests of errors, each on a port of its own."""

from collections.abc import Iterator

import pytest

from tests.adapters.ethereum.fake_node import FakeNode, fake_node


@pytest.fixture
def node() -> Iterator[FakeNode]:
    with fake_node() as served:
        yield served


@pytest.fixture
def spare() -> Iterator[FakeNode]:
    with fake_node() as served:
        yield served
