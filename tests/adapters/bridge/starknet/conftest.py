"""The fake nodes of the chain's own tests."""

from tests.adapters.starknet.conftest import node, spare

__all__ = ["node", "spare"]
