"""Settings that every application has: the database, Ethereum and its key, alerts, the UI.

Each field's alias is its environment variable; its description ends the error
line of a missing field.
"""

from pathlib import Path

from pydantic import SecretStr, model_validator

from mmbot_pipelines.settings import urls, values
from mmbot_pipelines.settings.section import Section
from mmbot_pipelines.settings.section import variable as _variable


class General(Section):
    """What belongs to no part: which applications run, whom to alert, whether to send at all."""

    apps: values.Apps = _variable("MMBOT_APPS", values.APPS)
    # None: 1 where a chain has one node, 2 where it has more
    rpc_quorum: values.Count | None = _variable("MMBOT_RPC_QUORUM", None)
    dry_run: values.Switch = _variable("MMBOT_DRY_RUN", False)
    log_format: values.LogFormat = _variable("MMBOT_LOG_FORMAT", values.TEXT)
    alert_urls: urls.AlertUrls = _variable("MMBOT_ALERT_URLS", ())
    failpoints: values.Failpoints = _variable("MMBOT_FAILPOINTS", ())  # for tests


class Database(Section):
    """Where the truth is kept, and what Dagster knows beside it."""

    url: urls.DatabaseUrl | None = _variable("MMBOT_DATABASE_URL", None)  # None: embedded
    auto_migrate: values.Switch = _variable("MMBOT_AUTO_MIGRATE", True)
    dagster_home: values.AbsolutePath | None = _variable("DAGSTER_HOME", None)
    run_retention_days: values.Days = _variable("MMBOT_RUN_RETENTION_DAYS", 30)  # in Dagster

    @property
    def folder(self) -> Path:
        """Return where the embedded database's data is."""
        return (self.dagster_home or Path(".mmbot").resolve()) / "postgres"

    @property
    def description(self) -> str:
        """Return which database it is, without any secret of its URL."""
        if self.url is None:
            return f"the embedded one in {self.folder}"
        return f"{urls.database(self.url.get_secret_value())} (MMBOT_DATABASE_URL)"


class Broker(Section):
    """Who hands runs to warm workers; without one each run starts a process of its own."""

    url: urls.BrokerUrl | None = _variable("MMBOT_BROKER_URL", None)
    # of one `mmbot workers`; None: as many as there are cores
    processes: values.Count | None = _variable("MMBOT_WORKER_PROCESSES", None)
    dagster_home: values.AbsolutePath | None = _variable("DAGSTER_HOME", None)

    @property
    def is_embedded(self) -> bool:
        """Return whether the broker is the one beside the program."""
        return self.url is not None and self.url.get_secret_value() == urls.EMBEDDED

    @property
    def folder(self) -> Path:
        """Return where the embedded broker's data is."""
        return (self.dagster_home or Path(".mmbot").resolve()) / "broker"

    @property
    def description(self) -> str:
        """Return which broker it is, without any secret of its URL."""
        if self.url is None:
            return "none (MMBOT_BROKER_URL)"
        if self.is_embedded:
            return f"the embedded one in {self.folder}"
        return f"{urls.broker(self.url.get_secret_value())} (MMBOT_BROKER_URL)"


class ChainSection(Section):
    """A chain and the nodes that serve it."""

    rpc_urls: tuple[SecretStr, ...]  # the first is the primary
    ws_urls: tuple[SecretStr, ...]  # of nodes that announce what is new

    @property
    def urls(self) -> list[str]:
        """Return the RPC URLs in clear, the primary first. They may hold API keys."""
        return [url.get_secret_value() for url in self.rpc_urls]

    @property
    def announcing_urls(self) -> list[str]:
        """Return the WebSocket URLs in clear. They may hold API keys."""
        return [url.get_secret_value() for url in self.ws_urls]


class L1(ChainSection):
    """Ethereum, where recipients are paid."""

    rpc_urls: urls.RpcUrls = _variable(
        "MMBOT_L1_RPC_URLS", need="set it to the RPC URLs of Ethereum, the primary first"
    )
    ws_urls: urls.WsUrls = _variable("MMBOT_L1_WS_URLS", ())
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


class Ui(Section):
    """Under which names Dagster's UI is served."""

    hosts: values.HostNames = _variable("MMBOT_UI_HOSTS", ())  # beside the loopback's
