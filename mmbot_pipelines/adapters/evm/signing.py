"""Transactions of the wallet, signed; and the port of its signer. Pure."""

import contextlib
import re
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

import rlp  # type: ignore[import-untyped]
from eth_account import Account
from eth_utils.crypto import keccak

from mmbot_pipelines.adapters.rpc import decoding
from mmbot_pipelines.core.errors import InvalidSettings
from mmbot_pipelines.core.money import Address, Gas, TxHash
from mmbot_pipelines.core.outbox import Call, Fees, Signed

_KEY = re.compile(r"(0x)?[0-9a-fA-F]{64}")
MIN_GAS = Gas(21_000)  # of one transaction (Yellow Paper, G_transaction)
MAX_GAS = Gas(2**24)  # EIP-7825

# EIP-2718 types of transactions
_DYNAMIC_FEE = b"\x02"  # EIP-1559
_SET_CODE = b"\x04"  # EIP-7702
_AUTHORIZATION = b"\x05"  # what an account signs to be delegated begins with it (EIP-7702)


@dataclass(frozen=True, slots=True)
class Signature:
    """An ECDSA signature over secp256k1, with s in the lower half of the order (EIP-2)."""

    y_parity: int
    r: int
    s: int


class Signer(Protocol):
    """Holds the wallet's key, here or in a device or service."""

    @property
    def address(self) -> Address: ...

    def sign_hash(self, digest: bytes) -> Signature:
        """Sign 32 bytes."""


class WatchOnlyWallet:
    """A wallet without its key, for processes that sign nothing."""

    def __init__(self, address: Address) -> None:
        self.address = address

    def sign_hash(self, digest: bytes) -> Signature:
        """Refuse.

        Raises:
            InvalidSettings: always.
        """
        raise InvalidSettings("this process has no key to sign with")


class DeclaredSigner:
    """A signer whose address the settings name, so that it is known while the signer is away."""

    def __init__(self, address: Address, signer: Signer) -> None:
        self.address = address
        self._signer = signer

    def sign_hash(self, digest: bytes) -> Signature:
        """Sign 32 bytes.

        Raises:
            InvalidSettings: the key is of another address.
        """
        self.check()
        return self._signer.sign_hash(digest)

    def check(self) -> None:
        """Check that the key is there, and is of the address.

        Raises:
            InvalidSettings: it is of another one.
        """
        if self._signer.address != self.address:
            raise InvalidSettings(
                f"MMBOT_L1_WALLET_ADDRESS is {self.address}, but the key is of "
                f"{self._signer.address}: set it to that address"
            )


class LocalSigner:
    """Sign with a key in this process's memory; it is never shown."""

    def __init__(self, private_key: str) -> None:
        """Take a key of 32 bytes in hex, with or without 0x.

        Raises:
            InvalidSettings: it is no private key.
        """
        account = None
        # Whatever the library raises may repeat the key, so it is neither shown nor chained;
        # and it would pad a key that lost a digit.
        if _KEY.fullmatch(private_key):
            with contextlib.suppress(Exception):
                account = Account.from_key(private_key)
        if account is None:
            raise InvalidSettings("the private key is not a secp256k1 key of 64 hex digits")
        self._account = account
        self.address = Address(account.address)

    def __repr__(self) -> str:
        return f"LocalSigner({self.address})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a signer does not leave its process")

    def sign_hash(self, digest: bytes) -> Signature:
        """Sign 32 bytes, deterministically (RFC 6979)."""
        signed = self._account.unsafe_sign_hash(digest)
        return Signature(signed.v - 27, signed.r, signed.s)


def sign(signer: Signer, call: Call, *, chain_id: int, nonce: int, gas: Gas, fees: Fees) -> Signed:
    """Sign an EIP-1559 transaction without access list.

    Raises:
        InvalidResponse: no transaction can have so little gas, or so much.
    """
    return _signed(signer, _DYNAMIC_FEE, _fields(call, chain_id, nonce, gas, fees))


def sign_delegation(
    signer: Signer,
    target: Address,
    call: Call,
    *,
    chain_id: int,
    nonce: int,
    gas: Gas,
    fees: Fees,
) -> Signed:
    """Sign a transaction that also delegates its own sender to a contract (EIP-7702).

    It uses two nonces: its own is used up before the authorization is looked at, which
    therefore carries the next one, and uses that up too.

    target: the zero address ends a delegation.

    Raises:
        InvalidResponse: see `sign`.
    """
    authorized = [chain_id, bytes.fromhex(target.removeprefix("0x")), nonce + 1]
    by = signer.sign_hash(keccak(_AUTHORIZATION + rlp.encode(authorized)))
    authorization = [*authorized, by.y_parity, by.r, by.s]
    fields = [*_fields(call, chain_id, nonce, gas, fees), [authorization]]
    return _signed(signer, _SET_CODE, fields)


def _fields(call: Call, chain_id: int, nonce: int, gas: Gas, fees: Fees) -> list[Any]:
    if not MIN_GAS <= gas <= MAX_GAS:
        raise decoding.InvalidResponse(
            f"nothing is signed with {gas} gas: a transaction has {MIN_GAS} to {MAX_GAS}"
        )
    to = bytes.fromhex(call.to.removeprefix("0x"))
    return [chain_id, nonce, fees.priority, fees.ceiling, gas, to, call.value, call.data, []]


def _signed(signer: Signer, type_: bytes, unsigned: list[Any]) -> Signed:
    signature = signer.sign_hash(keccak(type_ + rlp.encode(unsigned)))
    raw = type_ + rlp.encode([*unsigned, signature.y_parity, signature.r, signature.s])
    return Signed(hash=hash_of(raw), raw=raw)


def hash_of(raw: bytes) -> TxHash:
    """Return the hash by which the network knows a signed transaction."""
    return TxHash("0x" + keccak(raw).hex())
