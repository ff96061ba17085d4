"""What code our account runs (EIP-7702), and the ports that read, use and change it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from mmbot_pipelines.core.money import Address, Gas
from mmbot_pipelines.core.outbox import Call, Fees, Signed


class AccountCode(StrEnum):
    NONE = "has no code"
    OURS = "is delegated to the batch contract"
    MISSING = "is delegated to the batch contract, which is not deployed"
    FOREIGN = "runs somebody else's code"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delegation:
    """The code of an account."""

    account: Address
    code: AccountCode
    target: Address | None = None  # None: it is delegated to nobody

    @property
    def summary(self) -> str:
        """Return it in one line."""
        where = f" (delegated to {self.target})" if self.target else ""
        return f"{self.account} {self.code}{where}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchedCall:
    """One call of a batch."""

    call: Call
    gas: Gas  # its limit: what a hostile target can burn at most
    may_fail: bool  # then the others go on without it


class BatchContract(Protocol):
    """The contract by which a delegated account makes many calls in one transaction."""

    def delegation(self, account: Address) -> Delegation:
        """Return what code an account runs now.

        Raises:
            Failure: too few nodes report the same.
        """

    def batch(self, account: Address, calls: Sequence[BatchedCall]) -> Call:
        """Return the call that an account makes to itself so that it makes these calls."""

    def gas(self, calls: Sequence[BatchedCall]) -> Gas:
        """Return the gas with which each of these calls surely has its own limit."""


class DelegatingWallet(Protocol):
    """Our wallet, whose account can be delegated to the batch contract."""

    def delegation(self) -> Delegation:
        """Return what code the account runs now.

        Raises:
            Failure: too few nodes report the same.
        """

    def has_delegations(self) -> bool:
        """Return whether the chain knows delegations at all."""

    def call_with(self, *, delegate: bool) -> Call | None:
        """Return the call to make in the transaction that changes the delegation.

        It deploys the batch contract where it must be there and is not. None: it cannot be
        deployed, for the chain lacks the factory.
        """

    def sign_delegation(
        self, call: Call, *, delegate: bool, nonce: int, gas: Gas, fees: Fees
    ) -> Signed:
        """Sign a transaction that delegates the account, or ends it; it uses two nonces."""
