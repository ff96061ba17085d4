"""Chains of the EVM: blocks, logs, contracts, quorum, fees, signing and broadcast."""
