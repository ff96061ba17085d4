"""The wallet's key in a KMS: real HTTP to moto, a real transaction that anvil accepts."""

import traceback
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from coincurve import PrivateKey, PublicKey
from eth_account import Account
from eth_utils import keccak
from hexbytes import HexBytes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmbot_pipelines.adapters.evm import kms
from mmbot_pipelines.adapters.evm.chain import EthereumChain
from mmbot_pipelines.adapters.evm.delegation import WalletDelegation
from mmbot_pipelines.adapters.evm.kms import KmsRefused, KmsSigner, KmsUnavailable
from mmbot_pipelines.adapters.evm.signers import signer
from mmbot_pipelines.adapters.rpc.client import Rpc
from mmbot_pipelines.core.delegation import AccountCode
from mmbot_pipelines.core.errors import InvalidSettings
from mmbot_pipelines.core.money import Address, Gas, Wei
from mmbot_pipelines.core.outbox import Call
from mmbot_pipelines.devnet.anvil import Anvil
from mmbot_pipelines.devnet.chain import ask, connect, mined
from tests.adapters.evm.kms_server import digests, kms_server

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
DIGEST = keccak(b"what is signed")
NOBODY = Address("0x000000000000000000000000000000000000dEaD")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with kms_server() as url:
        yield url


@pytest.fixture
def aws(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return a client of the KMS that AWS's own variables lead to."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", server)
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAHUNTER2")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "topsecret")
    digests(monkeypatch)
    return boto3.client("kms")


def created(aws: Any, spec: str = "ECC_SECG_P256K1", usage: str = "SIGN_VERIFY") -> str:
    return str(aws.create_key(KeySpec=spec, KeyUsage=usage)["KeyMetadata"]["KeyId"])


def test_address_is_the_public_keys(aws: Any) -> None:
    key_id = created(aws)
    point = PublicKey(aws.get_public_key(KeyId=key_id)["PublicKey"][-65:]).format(compressed=False)
    address = KmsSigner(key_id).address
    assert address.lower() == "0x" + keccak(point[1:])[-20:].hex()


def test_signatures_are_of_the_wallet_with_low_s(aws: Any) -> None:
    signer = KmsSigner(created(aws))
    for n in range(20):  # half of them come with a high s
        digest = keccak(bytes([n]))
        signature = signer.sign_hash(digest)
        assert 0 < signature.s <= ORDER // 2
        vrs = (signature.y_parity, signature.r, signature.s)
        assert Account._recover_hash(digest, vrs=vrs) == signer.address


def test_arn_and_alias_name_the_key_too(aws: Any) -> None:
    key_id = created(aws)
    aws.create_alias(AliasName="alias/market-maker", TargetKeyId=key_id)
    arn = aws.describe_key(KeyId=key_id)["KeyMetadata"]["Arn"]
    assert {KmsSigner(name).address for name in (key_id, arn, "alias/market-maker")} == {
        KmsSigner(key_id).address
    }


def test_anvil_takes_a_transaction_that_kms_has_signed(aws: Any) -> None:
    with Anvil(chain_id=31337) as anvil:
        rpc = Rpc([anvil.url], chain="L1", chain_id=31337)
        chain = EthereumChain(rpc, signer(kms_key_id=created(aws)))
        ask(connect(anvil.url), "anvil_setBalance", chain.wallet, hex(10**18))
        call = Call(to=NOBODY, data=b"", value=Wei(10**15))
        fees = chain.fees()
        signed = [chain.sign(call, nonce=n, gas=Gas(21_000), fees=fees) for n in range(6)]
        assert chain.broadcast([s.raw for s in signed]) == [None] * 6
        for one in signed:
            mined(connect(anvil.url), HexBytes(one.hash))
        receipts = chain.receipts([s.hash for s in signed])
        assert [r is not None and r.succeeded for r in receipts] == [True] * 6
        assert connect(anvil.url).eth.get_balance(NOBODY) == 6 * 10**15


def test_anvil_delegates_an_account_whose_key_is_in_kms(aws: Any) -> None:
    with Anvil(chain_id=31337) as anvil:
        rpc = Rpc([anvil.url], chain="L1", chain_id=31337)
        held = signer(kms_key_id=created(aws))
        chain, wallet = EthereumChain(rpc, held), WalletDelegation(rpc, held)
        ask(connect(anvil.url), "anvil_setBalance", chain.wallet, hex(10**18))
        call, fees = wallet.call_with(delegate=True), chain.fees()
        assert call is not None
        signed = wallet.sign_delegation(call, delegate=True, nonce=0, gas=Gas(1_000_000), fees=fees)
        assert chain.broadcast([signed.raw]) == [None]
        mined(connect(anvil.url), HexBytes(signed.hash))
        assert wallet.delegation().code is AccountCode.OURS


def test_nothing_is_asked_before_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    assert repr(signer(kms_key_id="some-key")) == "KmsSigner(some-key)"


# --- what is refused


def test_kms_that_signs_something_else_is_not_believed(
    aws: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # moto as it is signs the hash of the digest
    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", aws.meta.endpoint_url)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    with pytest.raises(KmsRefused, match="signed something else than what was asked"):
        KmsSigner(created(aws)).sign_hash(DIGEST)


@pytest.mark.parametrize(
    ("spec", "usage"), [("ECC_NIST_P256", "SIGN_VERIFY"), ("RSA_2048", "SIGN_VERIFY")]
)
def test_key_of_another_kind_is_one_line(aws: Any, spec: str, usage: str) -> None:
    with pytest.raises(InvalidSettings, match=r"MMBOT_L1_KMS_KEY_ID.*ECC_SECG_P256K1"):
        _ = KmsSigner(created(aws, spec, usage)).address


def test_key_that_is_not_there_is_one_line(aws: Any) -> None:
    with pytest.raises(InvalidSettings, match="MMBOT_L1_KMS_KEY_ID cannot be used"):
        _ = KmsSigner("12345678-1234-1234-1234-123456789012").address


def test_kms_that_is_away_is_tried_again(aws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(KmsUnavailable, match="cannot be reached") as raised:
        KmsSigner("some-key").sign_hash(DIGEST)
    text = "".join(traceback.format_exception(raised.value))
    assert "topsecret" not in text
    assert "AKIAHUNTER2" not in text


def test_missing_region_and_credentials_are_one_line_each(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(InvalidSettings, match=r"^AWS_DEFAULT_REGION is missing"):
        KmsSigner("some-key")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with pytest.raises(InvalidSettings, match=r"^AWS credentials are missing"):
        _ = KmsSigner("some-key").address


class FakeKms:
    """A KMS that answers what a test sets."""

    def __init__(self, key: PrivateKey, signature: bytes) -> None:
        self.key, self.signature = key, signature

    def get_public_key(self, **_: str) -> dict[str, bytes]:
        return {"PublicKey": kms._SECP256K1 + self.key.public_key.format(compressed=False)}

    def sign(self, **_: object) -> dict[str, bytes]:
        return {"Signature": self.signature}


def reported(signature: bytes, monkeypatch: pytest.MonkeyPatch) -> KmsSigner:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    client = FakeKms(PrivateKey(b"\1" * 32), signature)
    monkeypatch.setattr(boto3.session.Session, "client", lambda *_, **__: client)
    return KmsSigner("some-key")


def test_high_s_becomes_the_low_one(monkeypatch: pytest.MonkeyPatch) -> None:
    own = PrivateKey(b"\1" * 32).sign_recoverable(DIGEST, hasher=None)
    r, s = int.from_bytes(own[:32]), int.from_bytes(own[32:64])
    for either in (s, ORDER - s):
        signature = reported(der(r, either), monkeypatch).sign_hash(DIGEST)
        assert (signature.r, signature.s, signature.y_parity) == (r, s, own[64])


def der(r: int, s: int) -> bytes:
    def integer(n: int) -> bytes:
        body = n.to_bytes(n.bit_length() // 8 + 1)
        return b"\2" + bytes([len(body)]) + body

    body = integer(r) + integer(s)
    return b"\x30" + bytes([len(body)]) + body


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    st.binary(max_size=80) | st.builds(der, st.integers(0, ORDER * 2), st.integers(0, ORDER * 2))
)
def test_no_bytes_of_a_kms_become_a_signature(
    monkeypatch: pytest.MonkeyPatch, answered: bytes
) -> None:
    with pytest.raises(KmsRefused):
        reported(answered, monkeypatch).sign_hash(DIGEST)


@given(st.binary(max_size=120))
def test_no_bytes_but_a_point_are_a_public_key(spki: bytes) -> None:
    with pytest.raises(InvalidSettings):
        kms._point(spki, "some-key")
    with pytest.raises(InvalidSettings):
        kms._point(kms._SECP256K1 + spki[:64], "some-key")
