"""Keys in the URLs of Starknet nodes are shown nowhere."""

import logging
import traceback
import warnings

import pytest

from mmbot_pipelines.core.errors import RpcRefused, RpcUnavailable
from tests.adapters.rpc.fake_node import refuse
from tests.adapters.starknet.starknet_fakes import StarknetFake, client, newest

SECRET = "s3cr3tkey"


def test_nobody_is_one_line_that_names_each_host_and_no_secret(node: StarknetFake) -> None:
    node.node.status = 429
    urls = [f"http://user:{SECRET}@127.0.0.1:1/{SECRET}", f"{node.url}/{SECRET}"]
    with pytest.raises(RpcUnavailable) as refused:
        newest(*urls)
    logged = str(refused.value)
    assert logged.startswith(
        "no RPC node of starknet answered: 127.0.0.1:1 unreachable; 127.0.0.1:"
    )
    assert "answered HTTP 429" in logged
    assert SECRET not in "".join(traceback.format_exception(refused.value))


def test_no_secret_reaches_a_log(node: StarknetFake, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    node.version = "0.8.1"
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with pytest.raises(RpcUnavailable):
            newest(f"{node.url}/{SECRET}", f"http://127.0.0.1:1/{SECRET}")
    assert SECRET not in caplog.text
    assert not [w for w in warned if SECRET in str(w.message)]
    rpc = client(f"{node.url}/{SECRET}")
    assert SECRET not in repr(rpc)


def test_an_echoed_key_is_not_shown(node: StarknetFake) -> None:
    key = "a1b2c3d4e5f6a1b2c3d4"
    node.node.methods["starknet_getBlockWithTxHashes"] = refuse(24, f"no block for {key}")
    with pytest.raises(RpcRefused, match=r"no block for \*\*\*"):
        client(f"{node.url}/rpc/v0_10/{key}").ask(lambda at: at.block(5))
