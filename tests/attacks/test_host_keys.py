"""API keys that providers put into the host's name of a URL."""

import logging
import traceback

import pytest
from pydantic import SecretStr

from mmbot_pipelines.adapters.bridge.starknet.prover import Prover, ProverUnavailable
from mmbot_pipelines.adapters.rpc.node import redact, secrets_in
from mmbot_pipelines.adapters.starknet.client import StarknetRpc
from mmbot_pipelines.cli.doctor import nodes
from mmbot_pipelines.core.errors import Failure
from mmbot_pipelines.core.text import redacted_host
from mmbot_pipelines.settings import place
from tests.adapters.rpc.fake_node import rpc

KEY = "a1b2c3d4e5f6a1b2c3d4"
URL = f"http://{KEY}.eth.provider.invalid:8545/v3"
SHOWN = "*.provider.invalid:8545"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (URL, SHOWN),
        (f"https://user:{KEY}@{KEY}.provider.invalid/{KEY}?{KEY}", "*.provider.invalid"),
        (f"https://{KEY.upper()}.Provider.invalid", "*.provider.invalid"),
        ("https://provider.invalid:443/x", "provider.invalid:443"),
        ("http://geth:8545", "geth:8545"),
        ("http://10.1.2.3:8545", "10.1.2.3:8545"),
        ("http://[2001:db8::1]:8545", "[2001:db8::1]:8545"),
        (f"http://{KEY}.x.invalid:port", "an unreadable URL"),
    ],
)
def test_of_a_host_the_registrable_part_is_shown(url: str, expected: str) -> None:
    assert redacted_host(url) == expected
    assert place(url).removeprefix(f"{url.partition(':')[0]}://") == expected


def test_a_key_in_a_host_is_in_no_error_no_log_no_label_and_no_finding(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    logged = []
    l1 = rpc(URL, "http://127.0.0.1:1", connect_seconds=1.0)
    starknet = StarknetRpc([URL], chain_id=1, connect_seconds=1.0)
    for ask in (lambda: l1.call("eth_blockNumber"), lambda: starknet.ask(lambda n: n.newest())):
        with pytest.raises(Failure) as raised:
            ask()
        logged += traceback.format_exception(raised.value)
    prover = Prover(URL, SecretStr("hunter2"), destination="SN_MAIN", connect_seconds=1.0)
    with pytest.raises(ProverUnavailable) as unavailable:
        prover.state("task")
    logged += [*traceback.format_exception(unavailable.value), repr(prover)]
    logged += [str(f) for f in nodes.nodes("L1", 1, [URL])]
    label = l1.health()[0].host
    logged += [repr(l1.members), label, *(r.getMessage() for r in caplog.records)]
    assert label == SHOWN
    assert KEY not in "\n".join(logged)


def test_a_host_that_a_node_echoes_is_not_shown() -> None:
    assert redact(f"no such key: {KEY}".encode(), secrets_in(URL)) == b"no such key: ***"
