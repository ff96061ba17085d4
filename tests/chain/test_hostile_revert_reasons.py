"""Text that a contract chooses is shown as one short line of text, and as nothing else."""

import pytest

from mmbot_pipelines.devnet.chain import ask
from tests.chain.chain_harness import ChainHarness
from tests.cli.command import caller

ERROR = bytes.fromhex("08c379a0")
WORDS = (
    "\x1b[2J\x1b[31mred\x1b]8;;http://evil\x07 <script>alert(1)</script> [bold red]rich[/] "
    "**md** [x](http://evil)\r\nfake: log line\x00\u202eright-to-left"
)


def reverting(text: str, characters: int | None = None) -> str:
    """Return code that reverts with Error(text), filled up with zeros to so many characters."""
    body = text.encode()
    length = max(len(body), characters or 0)
    head = ERROR + (32).to_bytes(32) + length.to_bytes(32) + body
    # CODECOPY(0, 18, head); REVERT(0, all): memory that nothing was written to is zero.
    code = b"\x63" + len(head).to_bytes(4) + b"\x60\x12\x5f\x39"
    code += b"\x63" + (68 + (length + 31) // 32 * 32).to_bytes(4) + b"\x5f\xfd"
    return "0x" + (code.ljust(18, b"\x00") + head).hex()


@pytest.mark.parametrize(
    ("text", "characters"), [(WORDS, None), (WORDS, 2**20), ("", 2**20), ("", None)]
)
def test_reason_of_a_revert_is_stored_as_one_short_line(
    chain_harness: ChainHarness, text: str, characters: int | None
) -> None:
    l1, registry = chain_harness.ports.devnet.l1, chain_harness.ports.devnet.registry.address
    (order,) = chain_harness.ports.set_orders(1)
    honest = l1.eth.get_code(registry).to_0x_hex()
    chain_harness.detect()
    ask(l1, "anvil_setCode", registry, reverting(text, characters))
    # Its view reverts too, with the same reason.
    chain_harness.transfer()
    (error, *_) = chain_harness.bridge.store.errors.of(order.key)
    stored = [error.fault.message, chain_harness.order(order.number).reason or ""]
    stored += chain_harness.failed + chain_harness.logged
    for line in stored:
        assert len(line) < 600
        assert all(c.isprintable() for c in line.replace("\n", ""))
    assert "\nfake" not in "".join(stored)
    ask(l1, "anvil_setCode", registry, honest)
    assert chain_harness.bridge.registry.used([order]) == [False]


def test_cli_shows_the_words_as_they_are(
    chain_harness: ChainHarness,
    database_url: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    l1 = chain_harness.ports.devnet.l1
    (order,) = chain_harness.ports.set_orders(1)
    chain_harness.detect()
    ask(l1, "anvil_setCode", chain_harness.ports.devnet.registry.address, reverting(WORDS))
    chain_harness.transfer()
    mmbot = caller({"MMBOT_DATABASE_URL": database_url}, capsys, monkeypatch)
    for arguments in (("orders",), ("orders", "show", order.key)):
        logged = mmbot(*arguments)
        assert logged.code == 0
        assert "\x1b" not in logged.out
        assert "\nfake" not in logged.out
    flat = "".join(logged.out.split())
    assert "<script>alert(1)</script>" in flat
    assert "[boldred]rich[/]" in flat
