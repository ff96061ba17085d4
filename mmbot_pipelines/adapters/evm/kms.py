"""Sign with a key that never leaves AWS KMS (key spec ECC_SECG_P256K1, usage SIGN_VERIFY).

Credentials, region and endpoint come from AWS's own environment variables and files.
Source: AWS KMS API Reference, GetPublicKey and Sign.
"""

import threading
from typing import Any

import boto3
from botocore.config import Config  # type: ignore[import-untyped]
from botocore.exceptions import (  # type: ignore[import-untyped]
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    NoRegionError,
)
from coincurve import PublicKey
from coincurve.ecdsa import der_to_cdata, serialize_compact, signature_normalize
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from mmbot_pipelines.adapters.evm.signing import Signature
from mmbot_pipelines.core.errors import InvalidSettings, TryAgain, TryLater
from mmbot_pipelines.core.money import Address
from mmbot_pipelines.core.text import cleaned

# What RFC 5480 writes before the 65 bytes of an uncompressed secp256k1 point.
_SECP256K1 = bytes.fromhex("3056301006072a8648ce3d020106052b8104000a034200")

# The wallet's lane is held meanwhile, so a KMS that hangs must not hold it for long.
_CONFIG = Config(connect_timeout=3, read_timeout=5, retries={"mode": "standard"})

# A person must act: no retry fixes these.
_OPERATORS = ("NotFoundException", "InvalidKeyUsageException", "UnsupportedOperationException")


class KmsUnavailable(TryAgain):
    """AWS KMS cannot be reached, or is overloaded."""


class KmsRefused(TryLater):
    """AWS KMS does not sign: the key is disabled, or we may not use it."""


class KmsSigner:
    """One key in AWS KMS. Threads may share it."""

    def __init__(self, key_id: str) -> None:
        """Name the key by id, ARN or alias; nothing is asked yet.

        Raises:
            InvalidSettings: AWS's own settings name no region.
        """
        self._key_id = key_id
        self._key: PublicKey | None = None
        self._lock = threading.Lock()
        try:
            self._client = boto3.session.Session().client("kms", config=_CONFIG)
        except NoRegionError:
            raise InvalidSettings(
                "AWS_DEFAULT_REGION is missing: set it to the region of the KMS key"
            ) from None
        except (BotoCoreError, ValueError) as e:
            raise InvalidSettings(f"AWS's settings cannot be used: {cleaned(e)}") from None

    def __repr__(self) -> str:
        return f"KmsSigner({self._key_id})"

    @property
    def address(self) -> Address:
        """Return the wallet's address, which the public key makes.

        Raises:
            InvalidSettings: there is no such key, or it is none for Ethereum.
            KmsUnavailable, KmsRefused: see there.
        """
        point = self._public_key().format(compressed=False)[1:]
        return Address(to_checksum_address(keccak(point)[-20:]))

    def sign_hash(self, digest: bytes) -> Signature:
        """Sign 32 bytes: one call of KMS.

        Raises:
            KmsUnavailable, KmsRefused: see there.
            InvalidSettings: see `address`.
        """
        own = self._public_key()
        der = self._ask(
            "sign", Message=digest, MessageType="DIGEST", SigningAlgorithm="ECDSA_SHA_256"
        )["Signature"]
        try:
            # KMS may give either s; the network takes the lower one alone (EIP-2).
            _, low = signature_normalize(der_to_cdata(der))
            compact = serialize_compact(low)
        except ValueError:
            raise KmsRefused(f"KMS key {self._key_id} answered no ECDSA signature") from None
        for parity in (0, 1):
            if _recovered(compact, parity, digest) == own.format():
                r, s = int.from_bytes(compact[:32]), int.from_bytes(compact[32:])
                return Signature(parity, r, s)
        raise KmsRefused(f"KMS key {self._key_id} signed something else than what was asked")

    def _public_key(self) -> PublicKey:
        with self._lock:
            if self._key is None:
                self._key = _point(self._ask("get_public_key")["PublicKey"], self._key_id)
            return self._key

    def _ask(self, action: str, **params: object) -> Any:
        """Call KMS; no text of AWS's is chained, for it may quote the request."""
        try:
            return getattr(self._client, action)(KeyId=self._key_id, **params)
        except ClientError as e:
            failure = self._refusal(e)
        except NoCredentialsError:
            failure = InvalidSettings(
                "AWS credentials are missing: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
                "or give the machine a role"
            )
        except BotoCoreError as e:
            failure = KmsUnavailable(f"AWS KMS cannot be reached ({type(e).__name__})")
        raise failure

    def _refusal(self, error: ClientError) -> Exception:
        reported = error.response.get("Error", {})
        code, status = (
            reported.get("Code", ""),
            error.response["ResponseMetadata"]["HTTPStatusCode"],
        )
        error_text = f"{cleaned(code)}: {cleaned(reported.get('Message', ''))}"
        if code in _OPERATORS:
            return InvalidSettings(
                f"MMBOT_L1_KMS_KEY_ID cannot be used ({error_text}): name a signing key"
            )
        if status >= 500 or "Throttl" in code or code == "LimitExceededException":
            return KmsUnavailable(f"AWS KMS is overloaded ({error_text})")
        return KmsRefused(
            f"KMS key {self._key_id} does not sign ({error_text}): fix the key's state or policy"
        )


def _point(spki: bytes, key_id: str) -> PublicKey:
    try:
        if not spki.startswith(_SECP256K1):
            raise ValueError
        return PublicKey(spki.removeprefix(_SECP256K1))
    except ValueError:
        raise InvalidSettings(
            f"MMBOT_L1_KMS_KEY_ID names {key_id}, which is no key for Ethereum: create one of "
            "the spec ECC_SECG_P256K1"
        ) from None


def _recovered(compact: bytes, parity: int, digest: bytes) -> bytes:
    try:
        signature = compact + bytes([parity])
        return PublicKey.from_signature_and_message(signature, digest, hasher=None).format()
    except Exception:  # coincurve raises Exception itself where there is no such point
        return b""
