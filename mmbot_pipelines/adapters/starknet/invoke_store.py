"""The port `Invokes` on Postgres: every method is one database transaction."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Engine, Text, and_, func, insert, literal, select, update
from sqlalchemy.dialects.postgresql import ARRAY

from mmbot_pipelines.adapters.db.engine import transaction
from mmbot_pipelines.adapters.db.outbox import lock_key
from mmbot_pipelines.adapters.db.tables.outbox import EXECUTED, invokes
from mmbot_pipelines.adapters.starknet.invokes import Invoke
from mmbot_pipelines.core.errors import ConcurrentUpdate
from mmbot_pipelines.core.money import Address, TxHash
from mmbot_pipelines.core.outbox import TxState

_STORED = invokes.c.state == TxState.STORED.value
_TOO_HIGH = invokes.c.ahead_of.is_not(None)
_UNPRICED = and_(invokes.c.fee.is_(None), invokes.c.state.in_(EXECUTED))
_OPEN = {"state": TxState.STORED.value, "ahead_of": None, "fee": None}


class PgInvokes:
    """Stores the transactions of Starknet accounts."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def undecided(self, chain_id: int, wallet: Address) -> list[Invoke]:
        """List the account's undecided transactions: lowest nonce first, then lowest bump."""
        query = select(invokes).where(_of(chain_id, wallet), _STORED)
        return self._read(query.order_by(invokes.c.nonce, invokes.c.bump))

    def newest(self, chain_id: int, wallet: Address) -> Invoke | None:
        """Return the one of the highest nonce and bump, but those given up as too high."""
        query = select(invokes).where(_of(chain_id, wallet), ~_TOO_HIGH)
        last = query.order_by(invokes.c.nonce.desc(), invokes.c.bump.desc()).limit(1)
        return next(iter(self._read(last)), None)

    def too_high(self, chain_id: int, wallet: Address) -> list[Invoke]:
        """List those given up because their nonces were too high: lowest nonce and bump first."""
        query = select(invokes).where(_of(chain_id, wallet), _TOO_HIGH)
        return self._read(query.order_by(invokes.c.nonce, invokes.c.bump))

    def lost(self, hashes: Sequence[TxHash]) -> set[TxHash]:
        """Return which of these transactions are LOST."""
        named = and_(invokes.c.hash.in_(hashes), invokes.c.state == TxState.LOST.value)
        with transaction(self._engine) as connection:
            return set(map(TxHash, connection.scalars(select(invokes.c.hash).where(named))))

    def of(self, subjects: Sequence[str]) -> list[Invoke]:
        """List the transactions that are for one of these subjects, oldest first."""
        return self._read(select(invokes).where(_for(subjects)).order_by(invokes.c.id))

    def reverted(self, subjects: Sequence[str]) -> list[Invoke]:
        """List the reverted transactions that were for one of these subjects, oldest first."""
        reverted = invokes.c.state == TxState.REVERTED.value
        return self._read(select(invokes).where(reverted, _for(subjects)).order_by(invokes.c.id))

    def store(self, invoke: Invoke) -> None:
        """Write a transaction that is about to be sent.

        Those of its nonce that were given up as too high are undecided again.

        Raises:
            ConcurrentUpdate: another nonce is undecided, or this one is used or has this bump;
                nothing was written.
        """
        ours = and_(
            _of(invoke.chain_id, invoke.wallet), ~_TOO_HIGH | (invokes.c.nonce == invoke.nonce)
        )
        later = invokes.c.nonce >= invoke.nonce
        with transaction(self._engine) as connection:
            key = lock_key(invoke.chain_id, invoke.wallet)
            connection.execute(select(func.pg_advisory_xact_lock(key)))
            rows = connection.execute(
                select(invokes.c.nonce, invokes.c.bump, invokes.c.state, invokes.c.ahead_of)
                .where(ours, later | _STORED)
                .with_for_update()
            ).all()
            replaceable = all(
                row.nonce == invoke.nonce
                and (row.state == TxState.STORED.value or row.ahead_of is not None)
                for row in rows
            )
            if not replaceable or invoke.bump in [row.bump for row in rows]:
                raise ConcurrentUpdate(
                    f"nonce {invoke.nonce} of {invoke.wallet} cannot be given out now"
                )
            same_nonce = invokes.c.nonce == invoke.nonce
            connection.execute(update(invokes).where(ours, _TOO_HIGH, same_nonce).values(_OPEN))
            connection.execute(insert(invokes).values(_values(invoke)))

    def decide(self, invoke: Invoke, state: TxState, *, ahead_of: int | None = None) -> None:
        """Write what became of a nonce: its other transactions are LOST too, or REPLACED.

        ahead_of: the account's next nonce, where this one is given up because it is higher.

        Raises:
            ConcurrentUpdate: it was decided by somebody else; nothing was written.
        """
        others = TxState.LOST if state is TxState.LOST else TxState.REPLACED
        of_nonce = and_(_of(invoke.chain_id, invoke.wallet), invokes.c.nonce == invoke.nonce)
        with transaction(self._engine) as connection:
            written = connection.scalar(
                update(invokes)
                .where(invokes.c.hash == invoke.hash, _STORED)
                .values(state=state.value, ahead_of=ahead_of)
                .returning(invokes.c.id)
            )
            if written is None:
                raise ConcurrentUpdate(f"{invoke.hash} was decided by somebody else")
            connection.execute(
                update(invokes)
                .where(of_nonce, _STORED)
                .values(state=others.value, ahead_of=ahead_of)
            )

    def reopen(self, chain_id: int, wallet: Address, nonce: int) -> None:
        """Make the transactions of this nonce and later ones undecided again, but the too high."""
        self._open(_of(chain_id, wallet), invokes.c.nonce >= nonce, ~_TOO_HIGH)

    def revive(self, chain_id: int, wallet: Address, below: int) -> None:
        """Make those undecided again that were given up as too high and have a lower nonce."""
        self._open(_of(chain_id, wallet), invokes.c.nonce < below, _TOO_HIGH)

    def unpriced(self, chain_id: int, wallet: Address, *, max_rows: int) -> list[Invoke]:
        """List executed transactions whose fee is not known yet, oldest first."""
        query = select(invokes).where(_of(chain_id, wallet), _UNPRICED)
        return self._read(query.order_by(invokes.c.id).limit(max_rows))

    def price(self, invoke: Invoke, fee: int) -> None:
        """Write the fee of an executed transaction, in fri, where none is written.

        Raises:
            ConcurrentUpdate: it is undecided again, or has its fee; nothing was written.
        """
        priced = (
            update(invokes)
            .where(invokes.c.hash == invoke.hash, _UNPRICED)
            .values(fee=fee)
            .returning(invokes.c.id)
        )
        with transaction(self._engine) as connection:
            if connection.scalar(priced) is None:
                raise ConcurrentUpdate(f"the fee of {invoke.hash} was written by somebody else")

    def _open(self, *rows: ColumnElement[bool]) -> None:
        with transaction(self._engine) as connection:
            connection.execute(update(invokes).where(*rows).values(_OPEN))

    def _read(self, query: Any) -> list[Invoke]:
        with transaction(self._engine) as connection:
            return [invoke_of(row) for row in connection.execute(query)]


def _of(chain_id: int, wallet: Address) -> ColumnElement[bool]:
    return and_(invokes.c.chain_id == chain_id, invokes.c.wallet == wallet)


def _for(subjects: Sequence[str]) -> ColumnElement[bool]:
    named: ColumnElement[bool] = invokes.c.subjects.overlap(literal(list(subjects), ARRAY(Text)))
    return named


def _values(invoke: Invoke) -> dict[str, object]:
    return {
        "chain_id": invoke.chain_id,
        "wallet": invoke.wallet,
        "nonce": invoke.nonce,
        "bump": invoke.bump,
        "hash": invoke.hash,
        "raw": invoke.raw,
        "subjects": list(invoke.subjects),
        "stored_at": invoke.stored_at,
        "state": invoke.state.value,
        "fee": invoke.fee,
        "ahead_of": invoke.ahead_of,
    }


def invoke_of(row: Any) -> Invoke:
    """Read a row of `invokes`."""
    return Invoke(
        chain_id=row.chain_id,
        wallet=Address(row.wallet),
        nonce=row.nonce,
        bump=row.bump,
        hash=TxHash(row.hash),
        raw=bytes(row.raw),
        subjects=tuple(row.subjects),
        stored_at=row.stored_at,
        state=TxState(row.state),
        fee=None if row.fee is None else int(row.fee),
        ahead_of=None if row.ahead_of is None else int(row.ahead_of),
    )
