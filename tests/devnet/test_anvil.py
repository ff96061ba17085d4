"""The chain process: where it listens, how it ends, its error when it cannot start."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from mmbot_pipelines.devnet.accounts import account
from mmbot_pipelines.devnet.anvil import Anvil, find_anvil
from mmbot_pipelines.devnet.chain import ask, connect
from mmbot_pipelines.devnet.local_chain import ChainError


def wait_for_end(pid: int) -> bool:
    """Await the end of a process that is nobody's child here."""
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([watched], [], [], 120)[0])
    finally:
        os.close(watched)


def test_answers_as_soon_as_it_is_started() -> None:
    with Anvil(chain_id=4711) as chain:
        assert connect(chain.url).eth.chain_id == 4711


def test_each_chain_has_a_port_of_its_own() -> None:
    with Anvil(chain_id=1) as one, Anvil(chain_id=2) as two:
        assert one.port != two.port
        assert connect(one.url).eth.chain_id == 1


def test_nothing_is_left_after_the_context() -> None:
    with Anvil(chain_id=1) as chain:
        pid, url = chain.pid, chain.url
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(requests.ConnectionError):
        requests.get(url, timeout=5)
    with pytest.raises(ChainError, match="not running"):
        _ = chain.pid


def test_stops_even_when_it_is_suspended() -> None:
    with Anvil(chain_id=1) as chain:
        pid = chain.pid
        os.kill(pid, signal.SIGSTOP)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_stop_is_harmless_when_repeated_and_after_a_kill() -> None:
    chain = Anvil(chain_id=1).start()
    os.kill(chain.pid, signal.SIGKILL)
    chain.stop()
    chain.stop()


def test_starts_again_in_the_same_place() -> None:
    chain = Anvil(chain_id=1).start()
    port = chain.port
    chain.stop()
    with chain:
        assert chain.port == port
        assert connect(chain.url).eth.block_number == 0


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's part is Linux only")
def test_dies_with_a_parent_that_is_killed() -> None:
    program = (
        "import os, signal\n"
        "from mmbot_pipelines.devnet.anvil import Anvil\n"
        "print(Anvil(chain_id=1).start().pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], check=False, stdout=subprocess.PIPE, timeout=300
    )
    assert ended.returncode == -signal.SIGKILL
    assert wait_for_end(int(ended.stdout))


def test_a_taken_port_is_one_clear_line() -> None:
    with (
        Anvil(chain_id=1) as chain,
        pytest.raises(ChainError, match=r"^anvil of chain 2 ended.*Address already in use.*$"),
    ):
        Anvil(chain_id=2, port=chain.port).start()


def test_two_starts_of_one_chain_are_refused() -> None:
    with Anvil(chain_id=1) as chain, pytest.raises(ChainError, match="runs already"):
        chain.start()


def test_absent_binary_names_the_fix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ChainError, match="run `make setup`"):
        find_anvil([tmp_path])


def test_binary_on_path_serves_without_node_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    binary = tmp_path / "anvil"
    binary.symlink_to(find_anvil())
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_anvil([tmp_path]) == binary


def test_the_log_keeps_no_key(tmp_path: Path) -> None:
    log = tmp_path / "anvil.log"
    with Anvil(chain_id=1, log=log) as chain:
        w3 = connect(chain.url)
        ask(w3, "anvil_setLoggingEnabled", True)
        ask(w3, "evm_mine")
    written = log.read_text()
    assert "evm_mine" in written
    assert account(0).key.hex() not in written


def test_no_mining_waits_to_be_asked() -> None:
    with Anvil(chain_id=1, mining=False) as chain:
        w3 = connect(chain.url)
        sender = account(0).address
        w3.eth.send_transaction({"from": sender, "to": sender, "value": 0})
        assert w3.eth.block_number == 0
        ask(w3, "evm_mine")
        assert w3.eth.get_transaction_count(sender) == 1


def test_block_time_makes_blocks_without_transactions() -> None:
    with Anvil(chain_id=1, block_time=1) as chain:
        w3 = connect(chain.url)
        assert not ask(w3, "anvil_getAutomine")
        assert ask(w3, "anvil_getIntervalMining") == 1
