"""mmbot delegation, on a local chain and a real Postgres."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mmbot_pipelines.adapters.evm.batch_executor import FACTORY, contract_address, runtime_code
from mmbot_pipelines.bridge import steps
from mmbot_pipelines.bridge.orders.journal import Run
from mmbot_pipelines.core.errors import InvalidSettings
from mmbot_pipelines.core.outbox import DELEGATE, TxState
from mmbot_pipelines.devnet.accounts import OWNER, account
from mmbot_pipelines.devnet.artifacts import send
from mmbot_pipelines.devnet.chain import ask
from mmbot_pipelines.devnet.deploy import environment
from mmbot_pipelines.settings import load
from mmbot_pipelines.wiring import bridge as wiring
from tests.cli.command import CommandOutput, Mmbot, caller
from tests.devnet.bridge import STRANGER, Devnet, rolled_back, running

HALT = ("halt", "--by", "Ann", "--reason", "delegation")


@pytest.fixture(scope="module")
def fresh() -> Iterator[Devnet]:
    with running() as devnet:
        yield devnet


@pytest.fixture
def devnet(fresh: Devnet) -> Iterator[Devnet]:
    with rolled_back(fresh) as devnet:
        spares_delegated(devnet, True)
        yield devnet


def spares_delegated(devnet: Devnet, spares: bool) -> None:
    """Make zkSync's diamond refund delegated accounts at their own address, or not."""
    call = devnet.diamond.functions.setSparesDelegated(spares)
    send(call, sender=devnet.deployment.l1.owner)


@pytest.fixture
def environ(devnet: Devnet, database_url: str, tmp_path: Path) -> dict[str, str]:
    here = {"MMBOT_DATABASE_URL": database_url, "DAGSTER_HOME": str(tmp_path)}
    return environment(devnet.deployment) | here


@pytest.fixture
def mmbot(
    environ: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Mmbot:
    return caller(environ, capsys, monkeypatch)


def code(devnet: Devnet, address: str | None = None) -> str:
    return devnet.l1.eth.get_code(address or devnet.deployment.market_maker).hex()


def refused(output: CommandOutput) -> str:
    assert (output.code, output.out) == (1, "")
    assert len(output.err.splitlines()) == 1
    return output.err


def receipts(environ: dict[str, str]) -> None:
    steps.process_receipts(wiring.bridge(load(environ)), Run("run", lambda _: None))


def test_it_is_set_shown_and_removed(mmbot: Mmbot, devnet: Devnet, environ: dict[str, str]) -> None:
    maker = devnet.deployment.market_maker
    assert mmbot("delegation").out == f"{maker} has no code\n"
    mmbot(*HALT)
    first = devnet.l1.eth.get_transaction_count(maker)
    output = mmbot("delegation", "set")
    assert (output.code, output.err) == (0, "")
    assert "delegates the account to the batch contract" in output.out
    # deployed and delegated in one transaction, which uses two nonces
    assert code(devnet, contract_address()) == runtime_code().hex()
    assert code(devnet) == "ef0100" + contract_address()[2:].lower()
    assert devnet.l1.eth.get_transaction_count(maker) == first + 2
    assert mmbot("delegation").out == (
        f"{maker} is delegated to the batch contract (delegated to {contract_address()})\n"
    )
    again = mmbot("delegation", "set")
    assert (again.code, "nothing to do" in again.out) == (0, True)
    receipts(environ)
    output = mmbot("delegation", "remove")
    assert (output.code, "ends the delegation" in output.out) == (0, True)
    assert code(devnet) == ""
    assert devnet.l1.eth.get_transaction_count(maker) == first + 4
    assert "nothing to do" in mmbot("delegation", "remove").out


def test_it_is_stored_and_its_nonces_are_not_given_out_again(
    mmbot: Mmbot, devnet: Devnet, environ: dict[str, str]
) -> None:
    ask(devnet.l1, "evm_setAutomine", False)
    mmbot(*HALT)
    mmbot("delegation", "set")
    bridge = wiring.bridge(load(environ))
    (row,) = bridge.store.outbox.in_flight()
    assert (row.purpose, row.subject) == (DELEGATE, f"delegation:{row.wallet}:{row.nonce}")
    with bridge.store.begin() as uow:
        lane = uow.outbox.lock_lane(bridge.chain.chain_id, bridge.chain.wallet)
        assert lane.next_nonce(row.nonce) == row.nonce + 2
    assert "changes it already" in refused(mmbot("delegation", "set"))
    # forgotten by the node: the same bytes go out again
    ask(devnet.l1, "anvil_dropAllTransactions")
    receipts(environ)
    ask(devnet.l1, "evm_mine")
    receipts(environ)
    assert bridge.store.outbox.of(row.subject)[0].state is TxState.MINED
    assert code(devnet) == "ef0100" + contract_address()[2:].lower()
    ask(devnet.l1, "evm_setAutomine", True)


def test_it_needs_a_halt(mmbot: Mmbot) -> None:
    assert "run `mmbot halt`" in refused(mmbot("delegation", "set"))


def test_what_others_set_is_shown_and_removed(mmbot: Mmbot, devnet: Devnet) -> None:
    maker = devnet.deployment.market_maker
    ask(devnet.l1, "anvil_setCode", maker, "0xef0100" + STRANGER[2:])
    shown = f"{maker} runs somebody else's code (delegated to {STRANGER})\n"
    assert mmbot("delegation").out == shown
    mmbot(*HALT)
    assert mmbot("delegation", "remove").code == 0
    assert code(devnet) == ""


def test_a_delegation_to_what_is_not_deployed_is_completed(mmbot: Mmbot, devnet: Devnet) -> None:
    maker = devnet.deployment.market_maker
    ask(devnet.l1, "anvil_setCode", maker, "0xef0100" + contract_address()[2:])
    assert "which is not deployed" in mmbot("delegation").out
    mmbot(*HALT)
    assert mmbot("delegation", "set").code == 0
    assert code(devnet, contract_address()) == runtime_code().hex()


def test_a_chain_without_delegations_or_factory_is_one_clear_line(
    mmbot: Mmbot, devnet: Devnet, monkeypatch: pytest.MonkeyPatch
) -> None:
    mmbot(*HALT)
    ask(devnet.l1, "anvil_setCode", FACTORY, "0x")
    assert "lacks the CREATE2 factory" in refused(mmbot("delegation", "set"))
    nowhere = "0x" + "ee" * 20  # a precompile that this chain does not have
    monkeypatch.setattr("mmbot_pipelines.adapters.evm.delegation._G1_ADD", nowhere)
    assert refused(mmbot("delegation", "set")) == (
        "L1 has no delegations of accounts (EIP-7702, Prague)\n"
    )


def test_no_account_is_delegated_whose_refunds_would_be_lost(
    mmbot: Mmbot, devnet: Devnet, environ: dict[str, str]
) -> None:
    mmbot(*HALT)
    spares_delegated(devnet, False)
    lost = "refunds the messages of an account with code at an address that nobody has the key of"
    assert lost in refused(mmbot("delegation", "set"))
    assert code(devnet) == ""
    # nor does the bot start, where batches are asked for
    wiring.refuse_losing_settings(load(environ))
    batched = load(environ | {"MMBOT_BATCH": "eip7702"})
    with pytest.raises(InvalidSettings, match=lost):
        wiring.refuse_losing_settings(batched)
    spares_delegated(devnet, True)
    wiring.refuse_losing_settings(batched)
    # it can always be ended
    spares_delegated(devnet, False)
    ask(devnet.l1, "anvil_setCode", devnet.deployment.market_maker, "0xef0100" + STRANGER[2:])
    assert mmbot("delegation", "remove").code == 0
    assert code(devnet) == ""


@pytest.mark.parametrize("batch", ["off", "eip7702"])
def test_the_doctor_knows_what_the_account_runs(
    devnet: Devnet,
    environ: dict[str, str],
    batch: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mmbot = caller(environ | {"MMBOT_BATCH": batch}, capsys, monkeypatch)

    def account() -> list[str]:
        lines = mmbot("doctor").out.splitlines()
        return [line for line in lines if line.split()[1:2] == ["account:"]]

    def runs(code: str) -> None:
        ask(devnet.l1, "anvil_setCode", devnet.deployment.market_maker, code)

    ours = "0xef0100" + contract_address()[2:]
    (line,) = account()
    assert line.startswith("ok" if batch == "off" else "fault")
    assert "has no code" in line
    for foreign in ("0xef0100" + STRANGER[2:], "0x5f5ffd"):
        runs(foreign)
        (line,) = account()
        assert line.startswith("fault")
        assert "runs somebody else's code" in line
    runs(ours)
    (line,) = account()
    assert line.startswith("fault")
    assert "which is not deployed" in line
    ask(devnet.l1, "anvil_setCode", contract_address(), "0x" + runtime_code().hex())
    (line,) = account()
    assert line.startswith("note" if batch == "off" else "ok")
    spares_delegated(devnet, False)
    assert [line.split()[0] for line in account()][1:] == ["fault"]


def test_each_wallet_is_delegated_by_its_name(
    devnet: Devnet,
    environ: dict[str, str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    maker, owner = devnet.deployment.market_maker, account(OWNER)
    second = {
        "MMBOT_L1_MORE_WALLETS": "second",
        "MMBOT_L1_SECOND_WALLET_ADDRESS": owner.address,
        "MMBOT_L1_SECOND_PRIVATE_KEY": owner.key.hex(),
    }
    mmbot = caller(environ | second, capsys, monkeypatch)
    assert mmbot("delegation").out == f"{maker} has no code\n{owner.address} has no code\n"
    mmbot(*HALT)
    assert "no wallet is called third: name one of main, second" in refused(
        mmbot("delegation", "--wallet", "third", "set")
    )
    assert mmbot("delegation", "--wallet", "second", "set").code == 0
    assert code(devnet, owner.address) == "ef0100" + contract_address()[2:].lower()
    assert code(devnet) == ""
    receipts(environ | second)
    assert mmbot("delegation", "--wallet", "second", "remove").code == 0
    assert code(devnet, owner.address) == ""
