"""The settings of zkSync as an origin of orders."""

from typing import Annotated

from pydantic import BeforeValidator

from mmbot_pipelines.core.money import Gas
from mmbot_pipelines.settings import urls, values
from mmbot_pipelines.settings.bridge import OriginNode
from mmbot_pipelines.settings.section import variable as _variable

# What zkSync's diamond takes: 253,884 for a claim (173,484 for computation, 88 bytes of pubdata
# at 800, 10,000 for the slot; below it refuses with "up"), and 72 M with the slot (above: "ui").
# Source: era-contracts, TransactionValidator.sol; measured on the deployed diamond.
ClaimGasLimit = Annotated[
    Gas, BeforeValidator(lambda t: values.whole(t, "L2 gas", minimum=254_000, maximum=72_010_000))
]


class ZkSync(OriginNode):
    """zkSync as an origin of orders."""

    rpc_urls: urls.RpcUrls = _variable(
        "MMBOT_ZKSYNC_RPC_URLS", need="set it to the RPC URLs of zkSync, the primary first"
    )
    ws_urls: urls.WsUrls = _variable("MMBOT_ZKSYNC_WS_URLS", ())
    chain_id: values.ChainId = _variable(
        "MMBOT_ZKSYNC_CHAIN_ID", need="set it to the chain id of zkSync, e.g. 324 for mainnet"
    )
    escrow_address: values.EthereumAddress = _variable(
        "MMBOT_ZKSYNC_ESCROW_ADDRESS", need="set it to the Escrow's address on zkSync"
    )
    start_block: values.BlockNumber = _variable("MMBOT_ZKSYNC_START_BLOCK", 0)
    # None: the L1 wallet's own address
    wallet_address: values.EthereumAddress | None = _variable("MMBOT_ZKSYNC_WALLET_ADDRESS", None)
    diamond_address: values.EthereumAddress = _variable(
        "MMBOT_ZKSYNC_DIAMOND_ADDRESS",
        need="set it to the address of zkSync's diamond proxy on Ethereum",
    )
    # a block tag, or how many blocks behind the newest
    accepted: values.Accepted = _variable("MMBOT_ZKSYNC_ACCEPTED", 10)
    claim_gas_limit: ClaimGasLimit = _variable("MMBOT_ZKSYNC_CLAIM_GAS_LIMIT", Gas(1_000_000))


SECTION = ZkSync
