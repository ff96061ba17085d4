"""What wallets had when it was last explained, and what they spent since: on Postgres."""

from typing import Any

from sqlalchemy import Connection, Row, case, func, select
from sqlalchemy.dialects.postgresql import insert

from mmbot_pipelines.adapters.db.tables.outbox import transaction_parts, transactions, wallets
from mmbot_pipelines.bridge.ports.accounts import BalanceMark, WalletMark
from mmbot_pipelines.core.money import Address, Wei
from mmbot_pipelines.core.outbox import Account, Block, TxState


def spent(
    connection: Connection, chain_id: int, wallet: Address, *, first: int, end: int
) -> Wei | None:
    """Sum what mined transactions of these nonces took; None while one is undecided."""
    t = transactions.c
    part = transaction_parts.c
    shared = select(func.coalesce(func.sum(part.value), 0)).where(
        part.transaction_id == t.id, ~part.failed
    )
    value = case(
        (t.state != TxState.MINED.value, 0),
        # a batch of our own account carries nothing itself: what left is what its calls paid
        (t.parts > 0, shared.correlate(transactions).scalar_subquery()),
        else_=t.call_value,
    )
    took = func.sum(t.gas_used * t.gas_price + value).filter(t.block_number.is_not(None))
    undecided = func.count().filter(t.state == TxState.STORED.value)
    rows = select(took, undecided).where(
        t.chain_id == chain_id, t.wallet == wallet, t.nonce >= first, t.nonce < end
    )
    total, waiting = connection.execute(rows).one()
    return None if waiting else Wei(int(total or 0))


def balance_mark(connection: Connection, chain_id: int, wallet: Address) -> BalanceMark | None:
    """Return the wallet's newest explained balance, None before the first."""
    row = connection.execute(
        select(wallets).where(wallets.c.chain_id == chain_id, wallets.c.address == wallet)
    ).one_or_none()
    return None if row is None else _mark(row)


def wallet_marks(connection: Connection) -> list[WalletMark]:
    """Return the newest explained balance of every wallet that the bot has ever had."""
    rows = connection.execute(select(wallets).order_by(wallets.c.chain_id, wallets.c.address))
    return [WalletMark(chain_id=r.chain_id, wallet=r.address, mark=_mark(r)) for r in rows]


def _mark(row: Row[Any]) -> BalanceMark:
    block = None if row.block_hash is None else Block(int(row.block_number), row.block_hash)
    account = Account(nonce=int(row.nonce), balance=Wei(int(row.balance)), block=block)
    return BalanceMark(account=account, at=row.at)


def mark_balance(connection: Connection, chain_id: int, wallet: Address, mark: BalanceMark) -> None:
    """Store the wallet's newest explained balance."""
    account = mark.account
    values = {
        "nonce": account.nonce,
        "balance": account.balance,
        "at": mark.at,
        "block_number": account.block and account.block.number,
        "block_hash": account.block and account.block.hash,
    }
    connection.execute(
        insert(wallets)
        .values(chain_id=chain_id, address=wallet, **values)
        .on_conflict_do_update(index_elements=["chain_id", "address"], set_=values)
    )
