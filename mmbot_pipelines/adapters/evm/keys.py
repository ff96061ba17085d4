"""Where private keys and API keys come from: the environment, a file, or a keystore.

No message and no traceback of this module holds any part of a key or password.
"""

from pathlib import Path

from eth_account import Account
from pydantic import SecretStr

from mmbot_pipelines.core.errors import InvalidSettings


def private_key(
    *,
    given: SecretStr | None = None,
    file: Path | None = None,
    keystore: Path | None = None,
    password_file: Path | None = None,
) -> SecretStr:
    """Return the wallet's private key as 0x and 64 hex digits.

    `given` is hex, `file` holds hex, `keystore` is a Web3 Secret Storage V3 file that the
    password in `password_file` opens. Exactly one of the three is expected.

    Raises:
        InvalidSettings: the key cannot be read or is none.
    """
    if given is not None:
        return _checked(given.get_secret_value(), "MMBOT_L1_PRIVATE_KEY")
    if file is not None:
        return _checked(_text(file, "MMBOT_L1_PRIVATE_KEY_FILE"), "MMBOT_L1_PRIVATE_KEY_FILE")
    if keystore is not None and password_file is not None:
        password = _text(password_file, "MMBOT_L1_KEYSTORE_PASSWORD_FILE")
        return _opened(_text(keystore, "MMBOT_L1_KEYSTORE_FILE"), password)
    raise InvalidSettings(
        "MMBOT_L1_PRIVATE_KEY is missing: set it, or name a key file or a keystore"
    )


def secret(given: SecretStr | None, file: Path | None, variable: str) -> SecretStr:
    """Return a secret that the environment holds, or a file whose path it holds.

    variable: the setting that holds the secret itself; that of the file ends with "_FILE".

    Raises:
        InvalidSettings: it cannot be read, or is empty.
    """
    if given is not None:
        return given
    text = _text(file, f"{variable}_FILE").strip() if file is not None else ""
    if not text:
        raise InvalidSettings(
            f"{variable} is missing: set it, or {variable}_FILE to a file with it"
        )
    return SecretStr(text)


def _checked(text: str, variable: str) -> SecretStr:
    digits = text.strip().removeprefix("0x")
    try:
        if len(digits) != 64:
            raise ValueError
        Account.from_key(bytes.fromhex(digits))
    except Exception:  # each signing backend has its own; none may be shown, it may quote the key
        raise InvalidSettings(
            f"{variable} holds no private key: 64 hex digits of a number that secp256k1 allows "
            "are needed"
        ) from None
    return SecretStr(f"0x{digits.lower()}")


def _opened(keystore: str, password: str) -> SecretStr:
    try:
        key = Account.decrypt(keystore, password.rstrip("\r\n"))
    except ValueError as e:
        if "MAC mismatch" in str(e):
            raise InvalidSettings(
                "MMBOT_L1_KEYSTORE_PASSWORD_FILE holds another keystore's password: "
                "write the password of MMBOT_L1_KEYSTORE_FILE into it"
            ) from None
        raise _no_keystore() from None
    except (KeyError, TypeError, AttributeError, NotImplementedError):
        raise _no_keystore() from None
    return _checked(bytes(key).hex(), "MMBOT_L1_KEYSTORE_FILE")


def _no_keystore() -> InvalidSettings:
    return InvalidSettings(
        "MMBOT_L1_KEYSTORE_FILE is no Web3 Secret Storage V3 keystore: name the JSON file that "
        "the wallet exported"
    )


def _text(path: Path, variable: str) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as e:
        raise InvalidSettings(
            f"{variable} names {path}, which cannot be read ({e.strerror}): fix the path or "
            "its owner"
        ) from None
    except UnicodeDecodeError:
        raise InvalidSettings(f"{variable} names {path}, which is not a text file") from None
