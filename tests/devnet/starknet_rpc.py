"""Clients of a Starknet node that hold every request and answer against the specification."""

import asyncio
import itertools
import json
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import pytest
import requests
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012
from starknet_py.net.full_node_client import FullNodeClient

from mmbot_pipelines.devnet.starknet.contracts import ESCROW_ADDRESS
from mmbot_pipelines.devnet.starknet.delivery import Inbox, L1Link
from mmbot_pipelines.devnet.starknet.felt import halves, joined
from mmbot_pipelines.devnet.starknet.node import serve
from mmbot_pipelines.devnet.starknet.sequencer import Sequencer

FOLDER = Path(__file__).parents[3] / "shared" / "starknet_rpc_spec"
DOCUMENTS = ("starknet_api_openrpc.json", "starknet_write_api.json")
NOT_THERE = f"the OpenRPC documents of Starknet JSON-RPC 0.10.2 are not in {FOLDER}"
T = TypeVar("T")


class Refused(Exception):
    """The node answered with an error."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(json.dumps(error))
        self.code = error["code"]
        self.message = error["message"]
        self.data = error.get("data")


def corrected(document: Any) -> Any:
    """Free a document of its known faults, and make its references absolute."""
    if isinstance(document, list):
        return [corrected(item) for item in document]
    if not isinstance(document, dict):
        return document
    renamed = {}
    for key, value in document.items():
        # Sealed blocks match both branches of their oneOf.
        name = "anyOf" if key == "oneOf" else key
        if key == "$ref" and isinstance(value, str):
            renamed[name] = value.removeprefix("./api/")
        elif key == "required" and isinstance(value, str):
            renamed[name] = [value]
        elif key == "pattern" and value.endswith("[a-fA-F0-9]{0,61})$"):
            # FELT is documented with 63 digits and allows 62.
            renamed[name] = value.replace("{0,61}", "{0,62}")
        else:
            renamed[name] = corrected(value)
    return renamed


class Specification:
    """The published methods, their parameters, results and errors."""

    def __init__(self, folder: Path) -> None:
        documents = {n: corrected(json.loads((folder / n).read_text())) for n in DOCUMENTS}
        self.registry: Registry[Any] = Registry().with_resources(
            (name, Resource.from_contents(document, default_specification=DRAFT202012))
            for name, document in documents.items()
        )
        self.methods = {m["name"]: (n, m) for n, d in documents.items() for m in d["methods"]}
        self.checked: set[str] = set()

    def check_request(self, request: dict[str, Any]) -> None:
        document, method = self.methods[request["method"]]
        given = request.get("params", [])
        names = [param["name"] for param in method["params"]]
        if isinstance(given, list):
            assert len(given) <= len(names)
            given = dict(zip(names, given, strict=False))
        assert set(given) <= set(names), f"{request['method']} has no {set(given) - set(names)}"
        for param in method["params"]:
            assert param["name"] in given or not param.get("required"), param["name"]
            if param["name"] in given:
                self._validate(document, param["schema"], given[param["name"]])

    def check_answer(self, request: dict[str, Any], answer: dict[str, Any]) -> None:
        assert answer["jsonrpc"] == "2.0"
        assert answer["id"] == request["id"]
        assert ("result" in answer) != ("error" in answer)
        document, method = self.methods[request["method"]]
        if "result" in answer:
            self._validate(document, method["result"]["schema"], answer["result"])
            self.checked.add(request["method"])
        else:
            self._check_error(document, method, answer["error"])

    def _check_error(self, document: str, method: dict[str, Any], error: dict[str, Any]) -> None:
        resolver = self.registry.resolver(document)
        published = [resolver.lookup(e["$ref"]).contents for e in method.get("errors", [])]
        found = [e for e in published if e["code"] == error["code"]]
        assert found, f"{method['name']} does not publish {error}"
        assert error["message"] == found[0]["message"]
        if isinstance(found[0].get("data"), dict):
            self._validate(document, found[0]["data"], error["data"])
        elif "data" in found[0]:
            assert isinstance(error["data"], str)

    def _validate(self, document: str, schema: Any, instance: Any) -> None:
        Draft202012Validator(absolute(document, schema), registry=self.registry).validate(instance)


def absolute(document: str, schema: Any) -> Any:
    """Return a schema cut out of a document, with references that still lead back into it."""
    if isinstance(schema, list):
        return [absolute(document, item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: f"{document}{value}"
        if key == "$ref" and value.startswith("#")
        else absolute(document, value)
        for key, value in schema.items()
    }


@cache
def specification() -> Specification | None:
    """Return the specification, None where its folder is absent."""
    return Specification(FOLDER) if FOLDER.is_dir() else None


class Rpc:
    """Call a node over HTTP."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.session = requests.Session()
        self._ids = itertools.count(1)

    def __call__(self, method: str, *positional: Any, **named: Any) -> Any:
        """Call a published method, both ways validated."""
        request = self.request(f"starknet_{method}", list(positional) or named)
        spec = specification()
        if spec is not None:
            spec.check_request(request)
        return self._result(request)

    def refused(self, method: str, *positional: Any, **named: Any) -> Refused:
        """Return the error that a well-formed request is answered with."""
        with pytest.raises(Refused) as refused:
            self(method, *positional, **named)
        return refused.value

    def request(self, method: str, params: Any) -> dict[str, Any]:
        params = params if isinstance(params, dict) else list(params)
        return {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}

    def post(self, body: Any) -> Any:
        return self.session.post(self.url, json=body, timeout=120).json()

    def _result(self, request: dict[str, Any]) -> Any:
        answer = self.post(request)
        spec = specification()
        if spec is not None and request["method"] in spec.methods:
            spec.check_answer(request, answer)
        if "error" in answer:
            raise Refused(answer["error"])
        return answer["result"]


def validated_client(url: str) -> FullNodeClient:
    """Return starknet-py's client, its requests and answers validated too."""
    client = FullNodeClient(node_url=url)
    inner, spec = client._client.request, specification()

    async def request(**arguments: Any) -> Any:
        payload = arguments["payload"]
        if spec is not None:
            spec.check_request(payload)
        answer = await inner(**arguments)
        if spec is not None:
            spec.check_answer(payload, answer)
        return answer

    client._client.request = request
    return client


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run what starknet-py gives to await."""
    return asyncio.run(coroutine)


class LocalStarknet(Rpc):
    """A local node, served from an event loop in a thread; its blocks are sealed by hand."""

    def __init__(self, url: str, loop: asyncio.AbstractEventLoop, sequencer: Sequencer) -> None:
        super().__init__(url)
        self.inbox = Inbox(sequencer)
        self.sequencer = sequencer
        self._loop = loop

    def wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def do(self, action: Callable[..., T], *args: Any, **named: Any) -> T:
        """Let the node's loop do something on the sequencer."""

        async def done() -> T:
            return action(*args, **named)

        return self.wait(done())

    def mine(self, blocks: int = 1) -> None:
        for _ in range(blocks):
            self.do(self.sequencer.chain.seal)

    def reorg(self, depth: int) -> None:
        self.do(self.sequencer.reorg, depth)

    def act(self, function: str, *calldata: int, to: int = ESCROW_ADDRESS) -> list[int]:
        return self.do(self.sequencer.act, function, *calldata, to=to)

    def store(self, variable: str, *keys: int, value: int, of: int = ESCROW_ADDRESS) -> None:
        self.do(self.sequencer.store, variable, *keys, value=value, of=of)

    def emit(self, keys: Sequence[int], data: Sequence[int]) -> None:
        self.do(self.sequencer.emit, keys, data)

    def set_order(self, recipient: int, amount: int, fee: int) -> int:
        """Lock an order in the block that is being built, and return its id."""
        return joined(*self.act("set_order", recipient, *halves(amount), *halves(fee)))


@contextmanager
def starknet(
    link: L1Link | None = None, *, registry: int = 0, l1_depth: int = 10
) -> Iterator[LocalStarknet]:
    """Serve a local Starknet whose blocks are sealed by hand."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    node = LocalStarknet("", loop, Sequencer(registry, l1_depth=l1_depth))
    server = serve(node.sequencer, node.inbox, link)
    node.url = node.wait(server.__aenter__())
    try:
        yield node
    finally:
        node.wait(server.__aexit__(None, None, None))
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
