"""Starknet as an origin of orders."""

import mmbot_pipelines.adapters.starknet  # noqa: F401  before any import of starknet-py
