"""The private key from each of its sources, and the errors when it is missing."""

import json
from pathlib import Path

import pytest
from eth_account import Account
from pydantic import SecretStr

from mmbot_pipelines.adapters.evm.keys import private_key
from mmbot_pipelines.core.errors import InvalidSettings

KEY = "0x" + "1f" * 32
ORDER = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"  # of secp256k1


@pytest.fixture(scope="module")
def keystore(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "keystore.json"
    path.write_text(json.dumps(Account.encrypt(KEY, "open sesame", kdf="pbkdf2", iterations=2)))
    return path


def password(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "password"
    path.write_text(text)
    return path


@pytest.mark.parametrize("text", [KEY, KEY[2:], KEY.upper().replace("X", "x")])
def test_a_key_given_in_hex(text: str) -> None:
    key = private_key(given=SecretStr(text))
    assert key.get_secret_value() == KEY
    assert "1f1f" not in f"{key!r} {key}"


def test_a_key_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(f"  {KEY[2:]}\n")
    assert private_key(file=path).get_secret_value() == KEY


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_key_in_a_keystore(keystore: Path, tmp_path: Path, end: str) -> None:
    path = password(tmp_path, f"open sesame{end}")
    assert private_key(keystore=keystore, password_file=path).get_secret_value() == KEY


@pytest.mark.parametrize("text", ["", "1f1f", "zz" * 32, "00" * 32, ORDER, "f" * 64, "é" * 64])
def test_what_is_no_key_is_refused_without_showing_it(tmp_path: Path, text: str) -> None:
    path = tmp_path / "key"
    path.write_text(text)
    with pytest.raises(InvalidSettings, match=r"^MMBOT_L1_PRIVATE_KEY_FILE holds no private") as e:
        private_key(file=path)
    assert e.value.__suppress_context__
    assert not text or text not in str(e.value)
    with pytest.raises(InvalidSettings, match=r"^MMBOT_L1_PRIVATE_KEY holds no private"):
        private_key(given=SecretStr(text))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match=r"^MMBOT_L1_PRIVATE_KEY_FILE .*No such file"):
        private_key(file=tmp_path / "none")


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidSettings, match=r"^MMBOT_L1_PRIVATE_KEY_FILE .*not a text file"):
        private_key(file=path)


def test_the_wrong_password(keystore: Path, tmp_path: Path) -> None:
    path = password(tmp_path, "swordfish")
    with pytest.raises(InvalidSettings, match=r"^MMBOT_L1_KEYSTORE_PASSWORD_FILE") as e:
        private_key(keystore=keystore, password_file=path)
    assert "swordfish" not in str(e.value)


@pytest.mark.parametrize("text", ["", "[]", "{}", "nonsense", '{"version": 3}', '{"version": 2}'])
def test_what_is_no_keystore(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keystore.json"
    path.write_text(text)
    with pytest.raises(InvalidSettings, match=r"^MMBOT_L1_KEYSTORE_FILE is no Web3 Secret Storage"):
        private_key(keystore=path, password_file=password(tmp_path, "open sesame"))


def test_no_key_at_all() -> None:
    with pytest.raises(InvalidSettings, match=r"^MMBOT_L1_PRIVATE_KEY is missing"):
        private_key()
