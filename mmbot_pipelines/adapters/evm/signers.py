"""The wallet's signer by its settings: a key in this process's memory, or one in AWS KMS."""

from pathlib import Path

from pydantic import SecretStr

from mmbot_pipelines.adapters.evm.keys import private_key
from mmbot_pipelines.adapters.evm.signing import LocalSigner, Signer


def signer(
    *,
    given: SecretStr | None = None,
    file: Path | None = None,
    keystore: Path | None = None,
    password_file: Path | None = None,
    kms_key_id: str | None = None,
) -> Signer:
    """Return the wallet's signer; exactly one source is expected, see `keys.private_key`.

    kms_key_id: id, ARN or alias of a key in AWS KMS, which is asked only when it is needed.

    Raises:
        InvalidSettings: the key cannot be read or is none.
    """
    if kms_key_id is not None:
        # A second to import, which only those pay who use it.
        from mmbot_pipelines.adapters.evm.kms import KmsSigner  # noqa: PLC0415

        return KmsSigner(kms_key_id)
    key = private_key(given=given, file=file, keystore=keystore, password_file=password_file)
    return LocalSigner(key.get_secret_value())
