"""Processes that serve pages and figures, and what they could give away."""

from pathlib import Path

import pytest
import yaml
from botocore import credentials  # type: ignore[import-untyped]
from botocore.session import Session  # type: ignore[import-untyped]

from mmbot_pipelines import settings
from mmbot_pipelines.core.errors import InvalidSettings
from mmbot_pipelines.settings import KEYS
from mmbot_pipelines.wiring.origins import starknet as starknet_wiring
from tests.deploy.exporter import environment
from tests.deploy.units import ROOT, services
from tests.settings.environments import GOOD, PROOF, STARKNET, faults, starknet_of

COMPOSE = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"]
LOOKING = ("daemon", "metrics", "webserver")
BOTH = GOOD | STARKNET | PROOF | {"MMBOT_ORIGINS": "zksync,starknet"}


def test_every_setting_of_a_key_is_known_as_one() -> None:
    secret = {n for n in settings.VARIABLES if "KEY" in n}
    assert secret == {n for n in KEYS if not n.startswith("AWS_")}


def test_all_that_leads_to_aws_credentials_is_known_as_a_key() -> None:
    """They sign with the key in KMS."""
    env, container = credentials.EnvProvider, credentials.ContainerProvider
    read = {
        *(env.ACCESS_KEY, env.SECRET_KEY, *env.TOKENS),
        *(container.ENV_VAR, container.ENV_VAR_FULL),
        *(container.ENV_VAR_AUTH_TOKEN, container.ENV_VAR_AUTH_TOKEN_FILE),
        credentials.AssumeRoleWithWebIdentityProvider._CONFIG_TO_ENV_VAR["web_identity_token_file"],
        *Session.SESSION_VARIABLES["profile"][1],
        *(Session.SESSION_VARIABLES[name][1] for name in ("config_file", "credentials_file")),
    }
    assert read == {n for n in KEYS if n.startswith("AWS_")}


@pytest.mark.parametrize("name", LOOKING)
def test_systemd_hands_them_no_key(name: str) -> None:
    unit = services()[f"mmbot-{name}"]
    assert unit["EnvironmentFile"] == ["/etc/mmbot/env"]
    # Applied last, by systemd.exec(5): also against what an operator put into the wrong file.
    assert set(" ".join(unit["UnsetEnvironment"]).split()) == set(KEYS)
    assert unit["InaccessiblePaths"] == ["-/etc/mmbot/key -/etc/mmbot/keys.env"]
    # A process that gets the credentials of the machine's role may use its key in KMS.
    assert unit["IPAddressDeny"] == ["169.254.169.254 fd00:ec2::254"]


@pytest.mark.parametrize("name", LOOKING)
def test_containers_hand_them_no_key(name: str) -> None:
    assert COMPOSE[name]["env_file"] == "/etc/mmbot/env"
    assert not [v for v in COMPOSE[name]["volumes"] if "/etc/mmbot" in v]
    for signs in ("code", "workers"):
        assert "/etc/mmbot/keys.env" in COMPOSE[signs]["env_file"]
        assert "/etc/mmbot/key:/etc/mmbot/key:ro" in COMPOSE[signs]["volumes"]


def test_metrics_need_no_key_and_read_none() -> None:
    environ = environment("postgresql:///x", "http://127.0.0.1:1", "http://127.0.0.1:1")
    assert not set(environ) & KEYS
    assert settings.load(environ, keys=False).key is None
    read = settings.load(BOTH, keys=False)
    assert (read.key, starknet_of(read).private_key) == (None, None)
    with pytest.raises(InvalidSettings, match=r"MMBOT_L1_PRIVATE_KEY is missing"):
        settings.load(environ)


def written(path: Path, text: str, mode: int = 0o600) -> str:
    path.write_text(text)
    path.chmod(mode)
    return str(path)


NAMES = ["MMBOT_STARKNET_PRIVATE_KEY", "MMBOT_STARKNET_PROVER_API_KEY"]


def test_starknets_keys_come_from_files(tmp_path: Path) -> None:
    environ = {k: v for k, v in BOTH.items() if k not in NAMES}
    environ[f"{NAMES[0]}_FILE"] = written(tmp_path / "key", "0xabc1\n")
    environ[f"{NAMES[1]}_FILE"] = written(tmp_path / "api", "hunter2\n")
    section = starknet_of(settings.load(environ))
    assert starknet_wiring.account_key(section).get_secret_value() == "0xabc1"
    assert starknet_wiring.prover_key(section).get_secret_value() == "hunter2"


@pytest.mark.parametrize("name", NAMES)
def test_a_key_file_has_the_rules_of_the_wallets(name: str, tmp_path: Path) -> None:
    more = {k: v for k, v in BOTH.items() if k != name}
    file = f"{name}_FILE"
    (line,) = faults(more | {name: BOTH[name], file: written(tmp_path / "x", "y")})
    assert line == f"{name} and {file} are both set: keep one, remove the other"
    (line,) = faults_without(name, file, written(tmp_path / "x", "y", 0o644))
    assert "which everybody can open: run chmod 600" in line


def faults_without(name: str, file: str, path: str) -> list[str]:
    environ = {k: v for k, v in BOTH.items() if k != name} | {file: path}
    with pytest.raises(InvalidSettings) as bad:
        settings.load(environ)
    return str(bad.value).splitlines()


@pytest.mark.parametrize("text", ["", "ab" * 40, "0x0"])
def test_a_file_without_a_key_is_one_line_without_its_text(text: str, tmp_path: Path) -> None:
    environ = {k: v for k, v in BOTH.items() if k != NAMES[0]}
    environ[f"{NAMES[0]}_FILE"] = written(tmp_path / "key", text)
    section = starknet_of(settings.load(environ))
    with pytest.raises(InvalidSettings) as bad:
        starknet_wiring.account_key(section)
    assert NAMES[0] in str(bad.value)
    assert len(text) < 4 or text not in str(bad.value)
