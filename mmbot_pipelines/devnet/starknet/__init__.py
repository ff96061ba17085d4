"""A Starknet node for demo and tests, and the deployment and users of it.

No Starknet node can be had from the package registries, so this one answers the part of
Starknet's JSON-RPC 0.10.2 that the bot and starknet-py's accounts use, from a chain in memory.
It knows one Escrow, two tokens and a few accounts; it proves nothing and keeps nothing.
"""
