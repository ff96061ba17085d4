"""`devnet_*`: what tests and the demo ask of the local Starknet and no real node offers."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mmbot_pipelines.devnet.starknet import rpc
from mmbot_pipelines.devnet.starknet.chain import Executed, L1Message, RpcError
from mmbot_pipelines.devnet.starknet.contracts import ESCROW_ADDRESS, FACTS_ADDRESS
from mmbot_pipelines.devnet.starknet.delivery import MODES, Inbox
from mmbot_pipelines.devnet.starknet.felt import felt, halves, joined, selector_of
from mmbot_pipelines.devnet.starknet.gas import GAS
from mmbot_pipelines.devnet.starknet.methods import place
from mmbot_pipelines.devnet.starknet.rpc import Method
from mmbot_pipelines.devnet.starknet.sequencer import Sequencer
from mmbot_pipelines.devnet.starknet.token import ETH, STRK

_TOKENS = {"ETH": ETH, "STRK": STRK}


class DevnetMethods:
    """Answer the control methods; what they change is done by transactions, as users would."""

    def __init__(self, sequencer: Sequencer, inbox: Inbox) -> None:
        self._sequencer = sequencer
        self._inbox = inbox

    def routes(self) -> Mapping[str, Method]:
        """Return every control method by its name, with its parameters."""
        address, amount = {"address": rpc.felt}, {"amount": rpc.whole}
        order = {"recipient": rpc.felt} | amount | {"fee": rpc.whole, "account": rpc.felt}
        slot = {"account": rpc.hex_number, "block": rpc.whole, "slot": rpc.whole}
        methods = {
            "config": Method(self.config, {}),
            "accounts": Method(self.accounts, {}),
            "mint": Method(self.mint, address | amount | {"token": rpc.one_of(*_TOKENS)}),
            "setOrder": Method(self.set_order, order),
            "mine": Method(self.mine, {"blocks": int}),
            "reorg": Method(self.reorg, {"depth": int, "replay": bool}),
            "pause": Method(self.pause, {"paused": bool}),
            "setRegistry": Method(self.set_registry, {"address": rpc.hex_number}),
            "setMarketMaker": Method(self.set_market_maker, address),
            "emitEvent": Method(self.emit, {"keys": rpc.felts, "data": rpc.felts}),
            "proveSlot": Method(self.prove_slot, slot | {"value": rpc.whole}),
            "sendMessage": Method(self.send_message, {"message": rpc.message, "nonce": int}),
            "setDelivery": Method(self.set_delivery, {"mode": rpc.one_of(*MODES)}),
            "setGasPrice": Method(self.set_gas_price, {"gas": rpc.one_of(*GAS), "wei": rpc.whole}),
        }
        return {f"devnet_{name}": method for name, method in methods.items()}

    def config(self) -> Any:
        """Return the addresses that a bot and its users need."""
        return {
            "chain_id": felt(self._sequencer.chain_id),
            "escrow": felt(ESCROW_ADDRESS),
            "eth_token": felt(ETH),
            "market_maker": felt(self._view("get_mm_starknet_contract")),
        }

    def accounts(self) -> Any:
        """Return the development accounts: owner, market maker, then users."""
        return [
            {"address": felt(k.address), "private_key": felt(k.private_key)}
            for k in self._sequencer.accounts
        ]

    def mint(self, address: int, amount: int, token: str = "ETH") -> Any:  # noqa: S107
        """Create `amount` of a token's smallest unit out of nothing."""
        arguments = [address, *halves(amount)]
        return _sent(self._act((_TOKENS[token], "permissioned_mint", arguments)))

    def set_order(self, recipient: int, amount: int, fee: int, account: int | None = None) -> Any:
        """Place an order by a development account, unsigned; anyone's by real invokes."""
        payment = halves((amount + fee) % 2**256)
        executed = self._act(
            (ETH, "approve", [ESCROW_ADDRESS, *payment]),
            (ESCROW_ADDRESS, "set_order", [recipient, *halves(amount), *halves(fee)]),
            sender=account,
        )
        order = next(e for e in executed.events if e.address == ESCROW_ADDRESS)
        return _sent(executed) | {"order_id": felt(joined(*order.data[:2]))}

    def mine(self, blocks: int = 1) -> Any:
        """Seal blocks and return the newest."""
        for _ in range(blocks):
            self._sequencer.chain.seal()
        return place(self._sequencer.chain.latest)

    def reorg(self, depth: int, *, replay: bool = False) -> Any:
        """Drop blocks with their events and state; return what went and the new tip."""
        dropped = self._sequencer.reorg(depth, replay=replay)
        return {
            "dropped": [felt(block.hash) for block in dropped if block.hash is not None],
            "latest": place(self._sequencer.chain.latest),
        }

    def pause(self, *, paused: bool) -> Any:
        """Pause or unpause the escrow."""
        return _sent(self._act((ESCROW_ADDRESS, "pause" if paused else "unpause", [])))

    def set_registry(self, address: int) -> Any:
        """Let the escrow believe another registry on L1."""
        return _sent(self._act((ESCROW_ADDRESS, "set_eth_transfer_contract", [address])))

    def set_market_maker(self, address: int) -> Any:
        """Let the escrow pay another wallet."""
        return _sent(self._act((ESCROW_ADDRESS, "set_mm_starknet_contract", [address])))

    def emit(self, keys: Sequence[int], data: Sequence[int]) -> Any:
        """Emit an event of any shape from the escrow's address."""
        arguments = [len(keys), *keys, len(data), *data]
        return _sent(self._act((ESCROW_ADDRESS, "emit", arguments)))

    def prove_slot(self, account: int, block: int, slot: int, value: int) -> Any:
        """Make it a proven fact what an L1 contract had in a slot after a block."""
        arguments = [account, *halves(block), *halves(slot), *halves(value)]
        return _sent(self._act((FACTS_ADDRESS, "set_slot_value", arguments)))

    def send_message(self, message: L1Message, nonce: int) -> Any:
        """Execute an L1 message's handler without any L1."""
        message = replace(message, nonce=nonce)
        if self._sequencer.chain.handler_of(message.hash) is not None:
            reason = f"message {message.hash:#066x} was delivered before"
            raise RpcError("INVALID_PARAMS", {"reason": reason})
        return _sent(self._sequencer.deliver(message))

    def set_delivery(self, mode: str) -> Any:
        """Deliver messages from L1, withhold them, or let their handlers fail."""
        self._inbox.set_mode(mode)
        return mode

    def set_gas_price(self, gas: str, wei: int) -> Any:
        """Set the price of one gas, in wei."""
        self._sequencer.prices = replace(self._sequencer.prices, **{gas: wei})
        return felt(wei)

    def _act(self, *calls: tuple[int, str, Sequence[int]], sender: int | None = None) -> Executed:
        return self._sequencer.act([(to, selector_of(f), args) for to, f, args in calls], sender)

    def _view(self, function: str) -> int:
        call = (ESCROW_ADDRESS, selector_of(function), ())
        return self._sequencer.call(call, self._sequencer.chain.building)[0]


def _sent(executed: Executed) -> dict[str, str]:
    return {"transaction_hash": felt(executed.hash)}
