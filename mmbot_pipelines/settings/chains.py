"""The settings of Ethereum and of each L2: nodes, contracts, keys, how to claim.

Each field's alias is its environment variable; its description ends the line that says the
field is missing.
"""

from typing import Self

from pydantic import SecretStr, model_validator

from mmbot_pipelines.core.money import Gas, Wei
from mmbot_pipelines.settings import urls, values
from mmbot_pipelines.settings.bridge import starknet_values
from mmbot_pipelines.settings.section import Section
from mmbot_pipelines.settings.section import variable as _variable


class Node(Section):
    """A chain and the nodes that serve it."""

    rpc_urls: tuple[SecretStr, ...]  # the first is the primary

    @property
    def urls(self) -> list[str]:
        """Return the RPC URLs in clear, the primary first. They may hold API keys."""
        return [url.get_secret_value() for url in self.rpc_urls]


class L1(Node):
    """Ethereum, where recipients are paid."""

    rpc_urls: urls.RpcUrls = _variable(
        "MMBOT_L1_RPC_URLS", need="set it to the RPC URLs of Ethereum, the primary first"
    )
    chain_id: values.ChainId = _variable(
        "MMBOT_L1_CHAIN_ID", need="set it to the chain id of Ethereum, e.g. 1 for mainnet"
    )
    registry_address: values.EthereumAddress = _variable(
        "MMBOT_L1_REGISTRY_ADDRESS", need="set it to the PaymentRegistry's address"
    )
    # ours, for processes without its key
    wallet_address: values.EthereumAddress | None = _variable("MMBOT_L1_WALLET_ADDRESS", None)
    registry_abi: values.RegistryAbi = _variable("MMBOT_L1_REGISTRY_ABI", "v1")
    start_block: values.BlockNumber = _variable("MMBOT_L1_START_BLOCK", 0)
    # how many blocks deep what was mined is compared with the chain again
    finality_blocks: values.Count = _variable("MMBOT_L1_FINALITY_BLOCKS", 64)


class Key(Section):
    """Where the wallet's private key is: exactly one of four places."""

    private_key: values.HexKey | None = _variable("MMBOT_L1_PRIVATE_KEY", None)
    private_key_file: values.PrivateFile | None = _variable("MMBOT_L1_PRIVATE_KEY_FILE", None)
    keystore_file: values.PrivateFile | None = _variable("MMBOT_L1_KEYSTORE_FILE", None)
    keystore_password_file: values.PrivateFile | None = _variable(
        "MMBOT_L1_KEYSTORE_PASSWORD_FILE", None
    )
    kms_key_id: values.KmsKeyId | None = _variable("MMBOT_L1_KMS_KEY_ID", None)

    @model_validator(mode="before")
    @classmethod
    def _one_source(cls, given: dict[str, str]) -> dict[str, str]:
        sources = (
            "MMBOT_L1_PRIVATE_KEY",
            "MMBOT_L1_PRIVATE_KEY_FILE",
            "MMBOT_L1_KEYSTORE_FILE",
            "MMBOT_L1_KMS_KEY_ID",
        )
        present = [name for name in sources if name in given]
        if not present:
            raise ValueError(f"{sources[0]} is missing: set it, or one of {', '.join(sources[1:])}")
        if len(present) > 1:
            raise ValueError(f"{' and '.join(present)} are both set: keep one, remove the others")
        if ("MMBOT_L1_KEYSTORE_FILE" in given) != ("MMBOT_L1_KEYSTORE_PASSWORD_FILE" in given):
            raise ValueError(
                "MMBOT_L1_KEYSTORE_FILE and MMBOT_L1_KEYSTORE_PASSWORD_FILE go together: "
                "set both or neither"
            )
        return given


class ZkSync(Node):
    """zkSync as an origin of orders."""

    rpc_urls: urls.RpcUrls = _variable(
        "MMBOT_ZKSYNC_RPC_URLS", need="set it to the RPC URLs of zkSync, the primary first"
    )
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
    claim_gas_limit: values.ClaimGasLimit = _variable(
        "MMBOT_ZKSYNC_CLAIM_GAS_LIMIT", Gas(1_000_000)
    )


class Starknet(Node):
    """Starknet as an origin of orders."""

    rpc_urls: urls.RpcUrls = _variable(
        "MMBOT_STARKNET_RPC_URLS", need="set it to the RPC URLs of Starknet, the primary first"
    )
    chain_id: starknet_values.StarknetChainId = _variable(
        "MMBOT_STARKNET_CHAIN_ID", need="set it to SN_MAIN, SN_SEPOLIA or the id in hex"
    )
    escrow_address: starknet_values.StarknetAddress = _variable(
        "MMBOT_STARKNET_ESCROW_ADDRESS", need="set it to the Escrow's address on Starknet"
    )
    start_block: values.BlockNumber = _variable("MMBOT_STARKNET_START_BLOCK", 0)
    wallet_address: starknet_values.StarknetAddress = _variable(
        "MMBOT_STARKNET_WALLET_ADDRESS",
        need="set it to the Starknet address that the Escrow pays us at",
    )
    messaging_address: values.EthereumAddress = _variable(
        "MMBOT_STARKNET_MESSAGING_ADDRESS",
        need="set it to the address of Starknet's core contract on Ethereum",
    )
    fee_margin_percent: values.Margin = _variable("MMBOT_STARKNET_FEE_MARGIN_PERCENT", 20)
    # above it a claim's message waits
    max_message_fee: values.WeiAmount = _variable(
        "MMBOT_STARKNET_MAX_MESSAGE_FEE_WEI", Wei(5 * 10**15)
    )
    # above this multiple of what a claim was decided at, it waits
    max_claim_cost_ratio: values.Count = _variable("MMBOT_STARKNET_MAX_CLAIM_COST_RATIO", 3)
    # how the escrow is brought to pay us; what follows is for proofs alone
    repay: starknet_values.StarknetRepay = _variable("MMBOT_STARKNET_REPAY", "message")
    prover_url: urls.ProverUrl | None = _variable("MMBOT_STARKNET_PROVER_URL", None)
    prover_api_key: SecretStr | None = _variable("MMBOT_STARKNET_PROVER_API_KEY", None)
    prover_api_key_file: values.PrivateFile | None = _variable(
        "MMBOT_STARKNET_PROVER_API_KEY_FILE", None
    )
    prover_cost: values.WeiAmount = _variable("MMBOT_STARKNET_PROVER_COST_WEI", Wei(0))  # a proof
    private_key: starknet_values.StarkKey | None = _variable("MMBOT_STARKNET_PRIVATE_KEY", None)
    private_key_file: values.PrivateFile | None = _variable("MMBOT_STARKNET_PRIVATE_KEY_FILE", None)
    proof_entrypoint: starknet_values.CairoName = _variable(
        "MMBOT_STARKNET_PROOF_ENTRYPOINT", "withdraw"
    )
    # place of the mapping `transfers` in the registry's storage layout
    transfers_slot: values.BlockNumber = _variable("MMBOT_STARKNET_TRANSFERS_SLOT", 0)

    @property
    def chain_name(self) -> str:
        """Return the chain's id as people write it, e.g. "SN_MAIN"."""
        raw = self.chain_id.to_bytes(32, "big").lstrip(b"\0")
        return raw.decode() if raw.replace(b"_", b"").isalnum() else hex(self.chain_id)

    @model_validator(mode="after")
    def _all_for_proofs(self) -> Self:
        for name, given, file in (
            ("MMBOT_STARKNET_PROVER_API_KEY", self.prover_api_key, self.prover_api_key_file),
            ("MMBOT_STARKNET_PRIVATE_KEY", self.private_key, self.private_key_file),
        ):
            if given is not None and file is not None:
                raise ValueError(f"{name} and {name}_FILE are both set: keep one, remove the other")
        needed = {
            "MMBOT_STARKNET_PROVER_URL": self.prover_url,
            "MMBOT_STARKNET_PROVER_API_KEY": self.prover_api_key or self.prover_api_key_file,
            "MMBOT_STARKNET_PRIVATE_KEY": self.private_key or self.private_key_file,
            # what costs nothing would be ordered at a loss
            "MMBOT_STARKNET_PROVER_COST_WEI": self.prover_cost or None,
        }
        missing = [name for name, value in needed.items() if value is None]
        if self.repay == "storage_proof" and missing:
            raise ValueError(
                f"{missing[0]} is missing: MMBOT_STARKNET_REPAY=storage_proof needs "
                f"{' and '.join(missing)}"
            )
        return self
