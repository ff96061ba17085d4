"""`devnet_*`: what a test or the demo asks of the local Starknet and no real node offers."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mmbot_pipelines.devnet import starknet_answers as answers
from mmbot_pipelines.devnet import starknet_params as read
from mmbot_pipelines.devnet.starknet_chain import Executed
from mmbot_pipelines.devnet.starknet_errors import invalid_params
from mmbot_pipelines.devnet.starknet_escrow import ESCROW_ADDRESS
from mmbot_pipelines.devnet.starknet_execution import selector_of
from mmbot_pipelines.devnet.starknet_facts import FACTS_ADDRESS
from mmbot_pipelines.devnet.starknet_felt import felt, halves, joined
from mmbot_pipelines.devnet.starknet_inbox import MODES, Inbox
from mmbot_pipelines.devnet.starknet_routes import Route, optional, required
from mmbot_pipelines.devnet.starknet_sequencer import Call, Sequencer
from mmbot_pipelines.devnet.starknet_token import ETH, STRK
from mmbot_pipelines.devnet.starknet_transactions import L1Message

TOKENS = {"ETH": ETH, "STRK": STRK}


class DevnetMethods:
    """Answer the control methods; what they change is done by transactions, as users would."""

    def __init__(self, sequencer: Sequencer, inbox: Inbox) -> None:
        self._sequencer = sequencer
        self._inbox = inbox

    def routes(self) -> Mapping[str, Route]:
        """Return every control method by its name, with the parameters it takes."""
        address, amount = required("address", read.felt), required("amount", read.whole)
        felts = read.list_of(read.felt)
        routes = {
            "config": Route(self.config),
            "accounts": Route(self.accounts),
            "mint": Route(
                self.mint, address, amount, optional("token", read.one_of(*TOKENS), "ETH")
            ),
            "setOrder": Route(
                self.set_order,
                required("recipient", read.felt),
                amount,
                required("fee", read.whole),
                optional("account", read.felt, None),
            ),
            "mine": Route(self.mine, optional("blocks", read.natural, 1)),
            "reorg": Route(
                self.reorg,
                required("depth", read.natural),
                optional("replay", read.boolean, default=False),
            ),
            "pause": Route(self.pause, required("paused", read.boolean)),
            "setRegistry": Route(self.set_registry, required("address", read.eth_address)),
            "setMarketMaker": Route(self.set_market_maker, address),
            "emitEvent": Route(self.emit, required("keys", felts), required("data", felts)),
            "proveSlot": Route(
                self.prove_slot,
                required("account", read.eth_address),
                *(required(name, read.whole) for name in ("block", "slot", "value")),
            ),
            "sendMessage": Route(
                self.send_message,
                required("message", read.message),
                required("nonce", read.natural),
            ),
            "setDelivery": Route(self.set_delivery, required("mode", read.one_of(*MODES))),
            "setGasPrice": Route(
                self.set_gas_price,
                required("gas", read.one_of("l1_gas", "l1_data_gas", "l2_gas")),
                required("wei", read.whole),
            ),
        }
        return {f"devnet_{name}": route for name, route in routes.items()}

    def config(self) -> Any:
        """Return the addresses that a bot and its users need."""
        return {
            "chain_id": felt(self._sequencer.chain_id),
            "escrow": felt(ESCROW_ADDRESS),
            "eth_token": felt(ETH),
            "strk_token": felt(STRK),
            "registry": f"{self._view('get_eth_transfer_contract'):#042x}",
            "market_maker": felt(self._view("get_mm_starknet_contract")),
            "delivery": self._inbox.mode,
        }

    def accounts(self) -> Any:
        """Return the development accounts: owner, market maker, then users."""
        return [
            {"address": felt(k.address), "private_key": felt(k.private_key)}
            for k in self._sequencer.accounts
        ]

    def mint(self, address: int, amount: int, token: str) -> Any:
        """Create `amount` of a token's smallest unit out of nothing."""
        arguments = [address, *halves(amount)]
        return _sent(self._act((TOKENS[token], "permissioned_mint", arguments)))

    def set_order(self, recipient: int, amount: int, fee: int, account: int | None) -> Any:
        """Place an order by a development account, unsigned; anyone's by real invokes."""
        payment = halves((amount + fee) % 2**256)
        executed = self._act(
            (ETH, "approve", [ESCROW_ADDRESS, *payment]),
            (ESCROW_ADDRESS, "set_order", [recipient, *halves(amount), *halves(fee)]),
            sender=account,
        )
        order = next(e for e in executed.events if e.address == ESCROW_ADDRESS)
        return _sent(executed) | {"order_id": felt(joined(*order.data[:2]))}

    def mine(self, blocks: int) -> Any:
        """Seal blocks and return the newest."""
        for _ in range(blocks):
            self._sequencer.chain.seal()
        return answers.place(self._sequencer.chain.latest)

    def reorg(self, depth: int, replay: bool) -> Any:
        """Take back blocks with their events and state; return what went and the new tip."""
        dropped = self._sequencer.reorg(depth, replay=replay)
        return {
            "dropped": [felt(block.hash) for block in dropped if block.hash is not None],
            "latest": answers.place(self._sequencer.chain.latest),
        }

    def pause(self, paused: bool) -> Any:
        """Stop the escrow, or let it go on."""
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
            raise invalid_params(f"message {message.hash:#066x} was delivered before")
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
        call: Call = (ESCROW_ADDRESS, selector_of(function), [])
        return self._sequencer.call(call, self._sequencer.chain.building)[0]


def _sent(executed: Executed) -> dict[str, str]:
    return {"transaction_hash": felt(executed.hash)}
