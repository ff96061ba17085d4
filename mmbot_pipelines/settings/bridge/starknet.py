"""The settings of Starknet as an origin of orders, and the kinds of values that they have.

No message repeats the value it refuses: it may be a secret that was pasted into the
wrong variable.
"""

import re
from typing import Annotated, Self

from pydantic import BeforeValidator, SecretStr, model_validator

from mmbot_pipelines.core.money import Address, Wei
from mmbot_pipelines.settings import urls, values
from mmbot_pipelines.settings.bridge import OrderLimits, OriginNode
from mmbot_pipelines.settings.section import variable as _variable

REPAYMENTS = ("message", "storage_proof")
_CHAIN_NAMES = ("SN_MAIN", "SN_SEPOLIA")
_FELT_PRIME = 2**251 + 17 * 2**192 + 1
_CURVE_ORDER = 0x800000000000010FFFFFFFFFFFFFFFFB781126DCAE7B2321E66A241ADC64D2F


def _starknet_address(text: str) -> str:
    if not re.fullmatch(r"0x[0-9a-fA-F]{1,64}", text) or not 0 < int(text, 16) < _FELT_PRIME:
        raise ValueError("must be a Starknet address: 0x and up to 64 hex digits, not zero")
    return f"0x{int(text, 16):064x}"


def _starknet_chain(text: str) -> int:
    if text in _CHAIN_NAMES:
        return int.from_bytes(text.encode("ascii"), "big")
    if not re.fullmatch(r"0x[0-9a-fA-F]{1,64}", text) or not 0 < int(text, 16) < _FELT_PRIME:
        raise ValueError(f"must be {' or '.join(_CHAIN_NAMES)}, or the id as 0x and hex digits")
    return int(text, 16)


def _starknet_repay(text: str) -> str:
    if text not in REPAYMENTS:
        raise ValueError(f"must be {' or '.join(REPAYMENTS)}")
    return text


def stark_key(text: str) -> SecretStr:
    """Check the private key of a Starknet account.

    Raises:
        ValueError: it is none; the message does not repeat it.
    """
    if not re.fullmatch(r"0x[0-9a-fA-F]{1,64}", text) or not 0 < int(text, 16) < _CURVE_ORDER:
        raise ValueError("is no private key of a Starknet account: 0x and up to 64 hex digits")
    return SecretStr(text)


def _cairo_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][0-9A-Za-z_]{0,99}", text):
        raise ValueError("must be the name of a function of the Escrow, e.g. withdraw")
    return text


StarknetAddress = Annotated[Address, BeforeValidator(_starknet_address)]
StarknetChainId = Annotated[int, BeforeValidator(_starknet_chain)]
StarknetRepay = Annotated[str, BeforeValidator(_starknet_repay)]
StarkKey = Annotated[SecretStr, BeforeValidator(stark_key)]
CairoName = Annotated[str, BeforeValidator(_cairo_name)]


class Starknet(OriginNode):
    """Starknet as an origin of orders."""

    KEYS = (
        "MMBOT_STARKNET_PRIVATE_KEY",
        "MMBOT_STARKNET_PRIVATE_KEY_FILE",
        "MMBOT_STARKNET_PROVER_API_KEY",
        "MMBOT_STARKNET_PROVER_API_KEY_FILE",
    )
    NEED_KEYS = ("MMBOT_STARKNET_REPAY",)  # proofs need keys

    rpc_urls: urls.RpcUrls = _variable(
        "MMBOT_STARKNET_RPC_URLS", need="set it to the RPC URLs of Starknet, the primary first"
    )
    ws_urls: urls.WsUrls = _variable("MMBOT_STARKNET_WS_URLS", ())
    chain_id: StarknetChainId = _variable(
        "MMBOT_STARKNET_CHAIN_ID", need="set it to SN_MAIN, SN_SEPOLIA or the id in hex"
    )
    escrow_address: StarknetAddress = _variable(
        "MMBOT_STARKNET_ESCROW_ADDRESS", need="set it to the Escrow's address on Starknet"
    )
    start_block: values.BlockNumber = _variable("MMBOT_STARKNET_START_BLOCK", 0)
    wallet_address: StarknetAddress = _variable(
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
    repay: StarknetRepay = _variable("MMBOT_STARKNET_REPAY", "message")
    prover_url: urls.ProverUrl | None = _variable("MMBOT_STARKNET_PROVER_URL", None)
    prover_api_key: SecretStr | None = _variable("MMBOT_STARKNET_PROVER_API_KEY", None)
    prover_api_key_file: values.PrivateFile | None = _variable(
        "MMBOT_STARKNET_PROVER_API_KEY_FILE", None
    )
    prover_cost: values.WeiAmount = _variable("MMBOT_STARKNET_PROVER_COST_WEI", Wei(0))  # a proof
    private_key: StarkKey | None = _variable("MMBOT_STARKNET_PRIVATE_KEY", None)
    private_key_file: values.PrivateFile | None = _variable("MMBOT_STARKNET_PRIVATE_KEY_FILE", None)
    proof_entrypoint: CairoName = _variable("MMBOT_STARKNET_PROOF_ENTRYPOINT", "withdraw")
    # place of the mapping `transfers` in the registry's storage layout
    transfers_slot: values.BlockNumber = _variable("MMBOT_STARKNET_TRANSFERS_SLOT", 0)

    @property
    def chain_name(self) -> str:
        """Return the chain's id as people write it, e.g. "SN_MAIN"."""
        raw = self.chain_id.to_bytes(32, "big").lstrip(b"\0")
        return raw.decode() if raw.replace(b"_", b"").isalnum() else hex(self.chain_id)

    def lacks(self, limits: OrderLimits, registry_abi: str) -> list[str]:
        """Return one line for each limit on reorg losses that must be set, or be `none`."""
        faults = []
        if self.repay == "storage_proof" and registry_abi != "v1":
            faults.append(
                "MMBOT_STARKNET_REPAY=storage_proof proves transfers of a registry of ABI v1, but "
                f"MMBOT_L1_REGISTRY_ABI is {registry_abi}: set MMBOT_STARKNET_REPAY=message"
            )
        if "confirmations" not in limits.model_fields_set:
            faults.append(
                "MMBOT_CONFIRMATIONS is missing: Starknet has reorged out more than an hour of "
                "blocks, so set tiers of wei:blocks, e.g. 0:1, or `none` to pay at once"
            )
        elif limits.confirmations and not any(t.blocks != 0 for t in limits.confirmations):
            faults.append(
                "MMBOT_CONFIRMATIONS asks for no block on top of any order, while Starknet is "
                "served: ask for 1 or more, e.g. 0:1, or set `none`"
            )
        if not {"max_exposure", "max_per_hour", "max_per_day"} & limits.model_fields_set:
            faults.append(
                "MMBOT_MAX_EXPOSURE_WEI is missing: it is the most that Starknet can make you "
                "lose by a reorg, so set it, MMBOT_MAX_PER_HOUR_WEI or "
                "MMBOT_MAX_PER_DAY_WEI, or `none` for no limit"
            )
        return faults

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


SECTION = Starknet
