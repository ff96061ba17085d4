"""The port `Invokes` on Postgres: every method is one database transaction."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Engine, Text, and_, func, insert, literal, select, update
from sqlalchemy.dialects.postgresql import ARRAY

from mmbot_pipelines.adapters.db.engine import transaction
from mmbot_pipelines.adapters.db.lane import lock_key
from mmbot_pipelines.adapters.db.tables.outbox import invokes
from mmbot_pipelines.core.errors import LostRace
from mmbot_pipelines.core.invokes import Invoke
from mmbot_pipelines.core.money import Address, TxHash
from mmbot_pipelines.core.outbox import TxState

_STORED = invokes.c.state == TxState.STORED.value


class PgInvokes:
    """Stores the transactions of Starknet accounts."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def undecided(self, chain_id: int, wallet: Address) -> list[Invoke]:
        """List the account's undecided transactions: lowest nonce first, then lowest bump."""
        query = select(invokes).where(_of(chain_id, wallet), _STORED)
        return self._read(query.order_by(invokes.c.nonce, invokes.c.bump))

    def newest(self, chain_id: int, wallet: Address) -> Invoke | None:
        """Return the account's transaction of the highest nonce and bump."""
        query = select(invokes).where(_of(chain_id, wallet))
        last = query.order_by(invokes.c.nonce.desc(), invokes.c.bump.desc()).limit(1)
        return next(iter(self._read(last)), None)

    def reverted(self, subjects: Sequence[str]) -> list[Invoke]:
        """List the reverted transactions that were for one of these subjects, oldest first."""
        wanted = invokes.c.subjects.overlap(literal(list(subjects), ARRAY(Text)))
        reverted = invokes.c.state == TxState.REVERTED.value
        return self._read(select(invokes).where(reverted, wanted).order_by(invokes.c.id))

    def store(self, invoke: Invoke) -> None:
        """Write a transaction that is about to be sent.

        Raises:
            LostRace: another nonce is undecided, or this one is used or has this bump;
                nothing was written.
        """
        ours = _of(invoke.chain_id, invoke.wallet)
        later = invokes.c.nonce >= invoke.nonce
        with transaction(self._engine) as connection:
            key = lock_key(invoke.chain_id, invoke.wallet)
            connection.execute(select(func.pg_advisory_xact_lock(key)))
            rows = connection.execute(
                select(invokes.c.nonce, invokes.c.bump, invokes.c.state)
                .where(ours, later | _STORED)
                .with_for_update()
            ).all()
            replaceable = all(
                (row.nonce, row.state) == (invoke.nonce, TxState.STORED.value) for row in rows
            )
            if not replaceable or invoke.bump in [row.bump for row in rows]:
                raise LostRace(f"nonce {invoke.nonce} of {invoke.wallet} cannot be given out now")
            connection.execute(insert(invokes).values(_values(invoke)))

    def decide(self, invoke: Invoke, state: TxState) -> None:
        """Write what became of a nonce: its other transactions are LOST too, or REPLACED.

        Raises:
            LostRace: it was decided by somebody else; nothing was written.
        """
        others = TxState.LOST if state is TxState.LOST else TxState.REPLACED
        of_nonce = and_(_of(invoke.chain_id, invoke.wallet), invokes.c.nonce == invoke.nonce)
        with transaction(self._engine) as connection:
            written = connection.scalar(
                update(invokes)
                .where(invokes.c.hash == invoke.hash, _STORED)
                .values(state=state.value)
                .returning(invokes.c.id)
            )
            if written is None:
                raise LostRace(f"{invoke.hash} was decided by somebody else")
            connection.execute(update(invokes).where(of_nonce, _STORED).values(state=others.value))

    def reopen(self, chain_id: int, wallet: Address, nonce: int) -> None:
        """Make all transactions of this nonce and of later ones undecided again."""
        with transaction(self._engine) as connection:
            connection.execute(
                update(invokes)
                .where(_of(chain_id, wallet), invokes.c.nonce >= nonce)
                .values(state=TxState.STORED.value)
            )

    def _read(self, query: Any) -> list[Invoke]:
        with transaction(self._engine) as connection:
            return [_invoke(row) for row in connection.execute(query)]


def _of(chain_id: int, wallet: Address) -> ColumnElement[bool]:
    return and_(invokes.c.chain_id == chain_id, invokes.c.wallet == wallet)


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
    }


def _invoke(row: Any) -> Invoke:
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
    )
