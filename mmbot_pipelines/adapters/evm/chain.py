"""The chain our wallet pays on, and the wallet: the port `core.outbox.Chain`. Reads chain."""

from collections.abc import Sequence

from mmbot_pipelines.adapters.evm import blocks, broadcast, estimates, quorum
from mmbot_pipelines.adapters.evm.broadcast import Underpriced
from mmbot_pipelines.adapters.evm.fees import market_fees
from mmbot_pipelines.adapters.evm.log_range import decode_log
from mmbot_pipelines.adapters.evm.signing import LocalSigner, Signer, hash_of, sign
from mmbot_pipelines.adapters.rpc import decoding, reverts
from mmbot_pipelines.adapters.rpc.client import Poll, Rpc
from mmbot_pipelines.adapters.rpc.node import Answer, RpcCall, RpcError
from mmbot_pipelines.core.errors import (
    Failure,
    RpcRefused,
    RpcUnavailable,
)
from mmbot_pipelines.core.money import Address, Gas, TxHash, Wei
from mmbot_pipelines.core.outbox import (
    UNKNOWN,
    Account,
    Block,
    Call,
    Event,
    Fees,
    Receipt,
    Signed,
    Transaction,
)

__all__ = ["EthereumChain", "LocalSigner", "Signer", "Underpriced"]

_MAX_NONCE = 2**64 - 2  # EIP-2681
_KEPT = 64  # of so many parts of its gas a caller keeps one (EIP-150)


class EthereumChain:
    """One wallet on one EVM chain with EIP-1559 fees."""

    def __init__(self, rpc: Rpc, signer: Signer) -> None:
        self._rpc = rpc
        self._signer = signer
        self._nonce_height = 0  # of the block that the mined nonces were counted at

    @property
    def chain_id(self) -> int:
        """Return the chain's id (EIP-155), which every signature carries."""
        return self._rpc.chain_id

    @property
    def wallet(self) -> Address:
        """Return the wallet's address."""
        return self._signer.address

    def head(self) -> Block:
        """Return the newest block."""
        return blocks.header(self._rpc, "latest").block

    def has_block(self, block: Block) -> bool:
        """Return whether the chain has this very block now, as the quorum knows it."""
        rpc, number = self._rpc, block.number

        def read(poll: Poll) -> Block:
            return blocks.parse_header(poll.answers[0], number, rpc.chain).block

        return quorum.agreed(rpc, [blocks.header_call(number)], read, f"block {number}") == block

    def fees(self) -> Fees:
        """Price gas for the next blocks; see `fees.market_fees`."""
        return market_fees(self._rpc)

    def balance(self) -> Wei:
        """Return the wallet's balance at the newest block, in wei."""
        return estimates.balance(self._rpc, self.wallet, quorum.now(self._rpc))

    def account(self) -> Account:
        """Return the wallet's count of mined transactions and its balance, at one block."""
        block = quorum.newest(self._rpc)
        asked = self.wallet, blocks.tag(block)
        rpc_calls: list[RpcCall] = [
            ("eth_getTransactionCount", asked),
            ("eth_getBalance", asked),
        ]
        count, balance = quorum.read(self._rpc, rpc_calls, block)
        if isinstance(balance, RpcError):
            raise RpcRefused(f"a node of {self._rpc.chain} refuses the balance: {balance}")
        return Account(
            nonce=self._count(count), balance=Wei(decoding.quantity(balance)), block=block
        )

    def nonce(self, *, pending: bool) -> int:
        """Return the wallet's next nonce: after mined transactions, or also after pending ones."""
        method = "eth_getTransactionCount"
        if pending:
            # Pools differ. What a node has not seen, the outbox knows; a number too high
            # would leave a gap that stops all.
            asked = [(method, (self.wallet, "pending"))]
            return min(quorum.usable(self._rpc, asked, lambda p: self._count(p.answers[0])))
        block = quorum.now(self._rpc)
        rpc_call = method, (self.wallet, blocks.tag(block))
        if isinstance(block, Block):
            self._nonce_height = block.number
            return self._count(quorum.read(self._rpc, [rpc_call], block)[0])

        def read(poll: Poll) -> tuple[int, int]:
            return self._count(poll.answers[0]), poll.height

        ((count, self._nonce_height),) = quorum.usable(self._rpc, [rpc_call], read)
        return count

    def simulate(
        self, calls: Sequence[Call], fees: Fees, balance: Wei | None = None
    ) -> list[Gas | Failure]:
        """Estimate the gas of each call from the wallet, or return why it would fail.

        An estimate has a quarter of headroom, for the state that changes until the call
        is mined, but no more than a transaction can have.
        """
        return estimates.simulate(self._rpc, self.wallet, calls, fees, balance)

    def sign(self, call: Call, *, nonce: int, gas: Gas, fees: Fees) -> Signed:
        """Sign an EIP-1559 transaction."""
        return sign(self._signer, call, chain_id=self.chain_id, nonce=nonce, gas=gas, fees=fees)

    def broadcast(self, raws: Sequence[bytes]) -> list[Failure | None]:
        """Broadcast signed transactions; one that the network already has counts as broadcast.

        Where no node answers, the outage stands in every place: some may be handed over.
        """
        hashes = [hash_of(raw) for raw in raws]
        try:
            answers = broadcast.send(self._rpc, raws)
            refused = [h for h, a in zip(hashes, answers, strict=True) if isinstance(a, RpcError)]
            # "already known", "nonce too low": the words differ, being there counts.
            there = broadcast.find_known(self._rpc, refused)
        except RpcUnavailable as outage:
            return [outage] * len(raws)
        return [
            broadcast.rejection(a) if isinstance(a, RpcError) and h not in there else None
            for h, a in zip(hashes, answers, strict=True)
        ]

    def receipts(self, hashes: Sequence[TxHash]) -> list[Receipt | None]:
        """Read receipts; None while not mined."""
        if not hashes:
            return []

        def read(poll: Poll) -> list[Receipt | None]:
            return [self._receipt(h, a) for h, a in zip(hashes, poll.answers, strict=True)]

        # What is not mined at a used nonce is lost: so never by a node behind that count.
        asked: list[RpcCall] = [("eth_getTransactionReceipt", (h,)) for h in hashes]
        return quorum.receipts(self._rpc, asked, read, min_height=self._nonce_height)

    def known_by_node(self, hashes: Sequence[TxHash]) -> list[bool]:
        """Return, for each transaction, whether the node has it, mined or pending."""
        answers = self._rpc.batch([("eth_getTransactionByHash", (h,)) for h in hashes])
        return [self._known(h, a) for h, a in zip(hashes, answers, strict=True)]

    def known_by_any_node(self, hashes: Sequence[TxHash]) -> list[bool]:
        """Return which transactions at least one node has, mined or pending: each is asked."""
        there = broadcast.find_known(self._rpc, hashes)
        return [tx in there for tx in hashes]

    def revert_reason(self, transaction: Transaction) -> str:
        """Replay a reverted transaction and decode the reason.

        First on the block before its own, then on its own: there the transactions that
        came before it in the block have had their effect, and those after it too.
        """
        receipt = self.receipts([transaction.hash])[0]
        if receipt is None:
            return f"{UNKNOWN}its block was reorged out"
        own = receipt.block.number
        fields = estimates.fields(self.wallet, transaction.call) | {"gas": hex(transaction.gas)}
        # Contracts may ask for the gas price; a node may find it too low for that block.
        priced = fields | {"gasPrice": hex(receipt.gas_price)}
        replays: list[RpcCall] = [
            ("eth_call", (call, blocks.tag(at)))
            for at in (own - 1, own)
            for call in (priced, fields)
        ]
        errors = [a for a in self._rpc.batch(replays) if isinstance(a, RpcError)]
        why = next(filter(None, map(reverts.reason, errors)), None)
        if why is None:
            error_text = errors[0] if errors else "it succeeds when it is replayed"
            why = f"{UNKNOWN}{error_text}"
        if receipt.gas_used == transaction.gas:
            why += f"; it used all of its {transaction.gas} gas"
        elif receipt.gas_used * _KEPT > transaction.gas * (_KEPT - 2):
            why += f"; it used {receipt.gas_used} of its {transaction.gas} gas: "
            why += "behind a proxy that is running out of gas"
        return why

    def has_code(self, account: Address, block: int) -> bool:
        """Return whether an account had code before or after block `block`."""
        heights = (max(block - 1, 0), block)
        answers = self._rpc.batch([("eth_getCode", (account, blocks.tag(at))) for at in heights])
        for answer in answers:
            if isinstance(answer, RpcError):
                raise RpcRefused(
                    f"a node of {self._rpc.chain} refuses the code of {account}: {answer}"
                )
        return any(decoding.data(answer) for answer in answers)

    def _count(self, answer: Answer) -> int:
        if isinstance(answer, RpcError):
            raise RpcRefused(f"a node of {self._rpc.chain} refuses the wallet's nonce: {answer}")
        count = decoding.quantity(answer)
        if count > _MAX_NONCE:
            raise decoding.InvalidResponse(
                f"a node of {self._rpc.chain} has an impossible nonce: {count}"
            )
        return count

    def _receipt(self, tx: TxHash, answer: Answer) -> Receipt | None:
        if isinstance(answer, RpcError):
            raise RpcRefused(f"a node of {self._rpc.chain} refuses the receipt of {tx}: {answer}")
        return None if answer is None else receipt(tx, answer)

    def _known(self, tx: TxHash, answer: Answer) -> bool:
        if isinstance(answer, RpcError):
            raise RpcRefused(f"a node of {self._rpc.chain} refuses transaction {tx}: {answer}")
        return broadcast.is_of(tx, answer)


def receipt(tx: TxHash, answer: object) -> Receipt:
    """Read a receipt as JSON-RPC gives it.

    Raises:
        InvalidResponse: it is none, or another transaction's.
    """
    given = decoding.fields(answer)
    status = decoding.quantity(given.get("status"))
    if status > 1 or not _is_of(tx, given.get("transactionHash")):
        raise decoding.InvalidResponse(f"a node answered a receipt that is not of {tx}")
    return Receipt(
        hash=tx,
        succeeded=status == 1,
        block=Block(
            decoding.quantity(given.get("blockNumber")), decoding.hash32(given.get("blockHash"))
        ),
        gas_used=Gas(decoding.quantity(given.get("gasUsed"))),
        gas_price=Wei(decoding.quantity(given.get("effectiveGasPrice"))),
        events=_events(given.get("logs", [])),
    )


def _events(logs: object) -> tuple[Event, ...]:
    if not isinstance(logs, list):
        raise decoding.InvalidResponse("a node answered a receipt without a list of logs")
    found = map(decode_log, logs)
    return tuple(Event(address=log.address, topics=log.topics, data=log.data) for log in found)


def _is_of(tx: TxHash, reported: object) -> bool:
    return decoding.hash32(reported) == tx.lower()
