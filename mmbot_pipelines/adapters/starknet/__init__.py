"""Starknet: a client over the same pool of nodes; hashes and signatures by starknet-py."""

import os

# starknet-py refuses answers with fields that it does not know, which nodes like to add;
# it can be set otherwise only here, before any of its modules is imported.
os.environ["STARKNET_PY_MARSHMALLOW_UNKNOWN_EXCLUDE"] = "true"
