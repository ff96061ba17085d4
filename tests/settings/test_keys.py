"""Where the wallet's key may come from, and what protects it."""

import os
from pathlib import Path

from mmbot_pipelines import settings
from tests.settings.environments import GOOD, SECRET, faults


def test_two_keys_are_one_too_many(tmp_path: Path) -> None:
    (line,) = faults({"MMBOT_L1_PRIVATE_KEY_FILE": str(tmp_path)})
    assert line.startswith("MMBOT_L1_PRIVATE_KEY and MMBOT_L1_PRIVATE_KEY_FILE are both set")


def test_a_key_in_kms_is_a_fourth_source() -> None:
    arn = "arn:aws:kms:eu-west-1:123456789012:key/1a2b-3c4d"
    for key_id in (arn, "alias/market-maker"):
        given = GOOD | {"MMBOT_L1_PRIVATE_KEY": "", "MMBOT_L1_KMS_KEY_ID": key_id}
        assert settings.load(given).key.kms_key_id == key_id
    (line,) = faults({"MMBOT_L1_KMS_KEY_ID": arn})
    assert line.startswith("MMBOT_L1_PRIVATE_KEY and MMBOT_L1_KMS_KEY_ID are both set")
    (line,) = faults({"MMBOT_L1_PRIVATE_KEY": "", "MMBOT_L1_KMS_KEY_ID": "a key"})
    assert line.startswith("MMBOT_L1_KMS_KEY_ID must be the id, ARN or alias/name")


def test_a_keystore_and_its_password_go_together(tmp_path: Path) -> None:
    keystore = tmp_path / "keystore.json"
    keystore.write_text("{}")
    keystore.chmod(0o600)
    (line,) = faults({"MMBOT_L1_PRIVATE_KEY": "", "MMBOT_L1_KEYSTORE_FILE": str(keystore)})
    assert "MMBOT_L1_KEYSTORE_PASSWORD_FILE go together" in line
    both = {
        "MMBOT_L1_PRIVATE_KEY": "",
        "MMBOT_L1_KEYSTORE_FILE": str(keystore),
        "MMBOT_L1_KEYSTORE_PASSWORD_FILE": str(keystore),
    }
    assert settings.load(GOOD | both).key.keystore_file == keystore


def test_a_key_file_is_there_private_and_a_file(tmp_path: Path) -> None:
    def fault(path: Path) -> str:
        (line,) = faults(
            {"MMBOT_L1_PRIVATE_KEY": "", "MMBOT_L1_PRIVATE_KEY_FILE": str(path)},
        )
        return line

    key = tmp_path / "key"
    assert "cannot be read (No such file or directory)" in fault(key)
    assert "is not a file" in fault(tmp_path)
    key.write_text(SECRET)
    key.chmod(0o644)
    assert f"chmod 600 {key}" in fault(key)
    if os.geteuid() != 0:  # root reads everything
        key.chmod(0o000)
        assert "cannot be read (Permission denied)" in fault(key)
    key.chmod(0o600)
    named = {"MMBOT_L1_PRIVATE_KEY": "", "MMBOT_L1_PRIVATE_KEY_FILE": str(key)}
    assert settings.load(GOOD | named).key.private_key_file == key
