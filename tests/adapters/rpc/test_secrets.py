"""Keys and passwords in URLs are shown nowhere."""

import contextlib
import logging
import traceback

import pytest

from mmbot_pipelines.adapters.rpc.client import RpcError
from mmbot_pipelines.adapters.rpc.health import NodeFault
from mmbot_pipelines.core.errors import RpcUnavailable
from tests.adapters.rpc.fake_node import FakeNode, refuse, rpc
from tests.adapters.rpc.faulty_nodes import waited_for_briefly


def test_url_is_in_no_error_no_log_and_no_repr(
    node: FakeNode, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secrets = ["user", "hunter2", "v3", "apikey", "token", "topsecret"]
    host = node.url.removeprefix("http://")
    urls = [
        f"http://user:hunter2@{where}/v3/apikey?token=topsecret"
        for where in (host, "127.0.0.1:1", "no.such.host.invalid")
    ]
    client = rpc(*urls, connect_seconds=1.0)
    logged = [repr(client), repr(client.members)]
    for status in (200, 500):  # 200: no such method
        node.status = status
        with pytest.raises((RpcUnavailable, RpcError)) as raised:
            client.call("nothing")
        logged += traceback.format_exception(raised.value)
        assert raised.value.__context__ is None or isinstance(raised.value.__context__, NodeFault)
    logged += [record.getMessage() for record in caplog.records]
    assert host in repr(client)
    text = "\n".join(logged)
    assert [secret for secret in secrets if secret in text.replace(__file__, "")] == []


def test_odd_headers_put_no_url_into_the_log(
    node: FakeNode, caplog: pytest.LogCaptureFixture
) -> None:
    """urllib3 warns of them with the whole URL."""
    caplog.set_level(logging.DEBUG)
    node.headers = {"X-A": "b\r\nno header at all"}
    client = rpc(f"{node.url}/v3/topsecret")
    with waited_for_briefly(*client.members), contextlib.suppress(RpcUnavailable):
        client.call("eth_blockNumber")
    assert len(node.requests) > 0
    assert "topsecret" not in caplog.text


KEY = "a1b2c3d4e5f6a1b2c3d4"


@pytest.mark.parametrize("where", ["{}/v3/{}", "{}/rpc?apikey={}", "bot:{1}@{0}/transactionIndex"])
def test_an_echoed_key_is_not_shown(node: FakeNode, where: str) -> None:
    node.methods["nothing"] = refuse(-32000, f"project id {KEY} is spent", f"0x{KEY}")
    node.methods["block"] = lambda: {"transactionIndex": "0x1"}
    client = rpc("http://" + where.format(node.url.removeprefix("http://"), KEY))
    with pytest.raises(RpcError) as refused:
        client.call("nothing")
    assert refused.value.message == "project id *** is spent"
    assert KEY not in str(refused.value.data)
    assert client.call("block") == {"transactionIndex": "0x1"}
