"""The deployment is wired, and its settings are the ones the product reads."""

from eth_account import Account
from web3 import Web3

from mmbot_pipelines.devnet.anvil import Anvil
from mmbot_pipelines.devnet.chain import connect
from mmbot_pipelines.devnet.deploy import ALIAS_OFFSET, aliased, deploy_all, environment
from tests.devnet.bridge import Devnet


def test_registry_knows_its_market_maker_and_zksync(devnet: Devnet) -> None:
    deployment = devnet.deployment
    functions = devnet.registry.functions
    assert functions.marketMaker().call() == deployment.market_maker
    assert functions.zkSyncDiamond().call() == deployment.zksync.diamond
    assert functions.zkSyncEscrow().call() == deployment.zksync.escrow


def test_escrow_knows_the_aliased_registry_and_our_wallet(devnet: Devnet) -> None:
    functions = devnet.escrow.functions
    shown = functions.ethereum_payment_registry().call()
    assert int(shown, 16) == (int(devnet.registry.address, 16) + ALIAS_OFFSET) % 2**160
    assert functions.mm_zksync_wallet().call() == devnet.deployment.market_maker
    assert not functions.paused().call()


def test_alias_wraps_at_160_bits() -> None:
    highest = Web3.to_checksum_address("0x" + "ff" * 20)
    assert aliased(highest) == "0x1111000000000000000000000000000000001110"


def test_environment_names_every_setting(devnet: Devnet) -> None:
    deployment = devnet.deployment
    settings = environment(deployment)
    assert settings == {
        "MMBOT_MIN_MARGIN_BPS": "10",  # so that a fee of 1 wei is refused by settings
        "MMBOT_MIN_TRANSFER_WEI": "1",
        "MMBOT_L1_RPC_URLS": deployment.l1.rpc_url,
        "MMBOT_L1_WS_URLS": deployment.l1.rpc_url.replace("http", "ws"),
        "MMBOT_L1_CHAIN_ID": "31337",
        "MMBOT_L1_REGISTRY_ADDRESS": devnet.registry.address,
        "MMBOT_L1_REGISTRY_ABI": "v1",
        "MMBOT_L1_PRIVATE_KEY": deployment.private_key,
        "MMBOT_L1_WALLET_ADDRESS": deployment.market_maker,
        "MMBOT_ORIGINS": "zksync",
        "MMBOT_ZKSYNC_RPC_URLS": deployment.zksync.rpc_url,
        "MMBOT_ZKSYNC_WS_URLS": deployment.zksync.rpc_url.replace("http", "ws"),
        "MMBOT_ZKSYNC_CHAIN_ID": "270",
        "MMBOT_ZKSYNC_ESCROW_ADDRESS": devnet.escrow.address,
        "MMBOT_ZKSYNC_START_BLOCK": "1",
        "MMBOT_ZKSYNC_WALLET_ADDRESS": deployment.market_maker,
        "MMBOT_ZKSYNC_DIAMOND_ADDRESS": devnet.diamond.address,
    }
    assert Account.from_key(settings["MMBOT_L1_PRIVATE_KEY"]).address == deployment.market_maker


def test_the_key_is_not_in_the_deployments_words(devnet: Devnet) -> None:
    assert devnet.deployment.private_key[2:] not in repr(devnet.deployment)


def test_no_address_is_used_on_both_chains(devnet: Devnet) -> None:
    for address in (devnet.registry.address, devnet.diamond.address):
        assert devnet.l2.eth.get_code(address) == b""
    assert devnet.l1.eth.get_code(devnet.escrow.address) == b""


def test_deploys_without_waiting_for_slow_blocks() -> None:
    slow = 3600  # seconds: a deployment that waited for one would never end
    with Anvil(chain_id=1, block_time=slow) as l1, Anvil(chain_id=2, mining=False) as l2:
        zksync = deploy_all(l1.url, l2.url).zksync
        assert connect(l2.url).eth.get_code(zksync.escrow) != b""
