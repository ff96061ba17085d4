"""make bench-outage: how soon the running product goes on after an outage, and how soon it halts.

    python -m tests.bench.outage          # both, three times each
    python -m tests.bench.outage outage 1 # one of them, so often

Everything is real: Dagster, Postgres, local chains, a node that fails on command, and a KMS that
takes 0.1 s a signature. Seconds, as they are seen from outside.
"""

import logging
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from eth_typing import HexStr
from moto.kms.models import kms_backends
from moto.kms.responses import KmsResponse
from web3.exceptions import TransactionNotFound

from mmbot_pipelines.adapters.db.bridge.store import PgBridgeStore
from mmbot_pipelines.adapters.db.engine import connect as connect_database
from mmbot_pipelines.core.safety import GLOBAL, State, state_of
from mmbot_pipelines.devnet import accounts
from mmbot_pipelines.devnet.orders import burst
from tests.adapters.evm import kms_server
from tests.chaos.faulty_rpc import Fault
from tests.chaos.faulty_stack import FaultyStack
from tests.e2e.product import Product

BURST, OUTAGE_SECONDS = 30, 30.0
QUEUED, SIGNATURE_SECONDS = 400, 0.1
_WAIT_SECONDS = 300.0
_IN_A_BLOCK = 100
_SIGNED_BEFORE = 30
_AFTERWARDS_SECONDS = 15.0
_CURVE = ec.SECP256K1()


def main(what: Sequence[str], times: int) -> None:
    for measure in what:
        for number in range(times):
            took = {"outage": outage, "halt": _halt}[measure](number)
            load = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in took.items())
            print(f"{measure} {number + 1}: {load} (load {os.getloadavg()[0]:.1f})", flush=True)


def outage(number: int) -> dict[str, float]:
    """Take all L1 nodes away in the middle of a burst, later each time, for 30 seconds.

    The first figure is how long after their return the last transfer is out, in seconds.
    """
    with _product(nodes=1, chains=["L1"]) as product:
        (node,) = product.stack.nodes["L1"]
        product.await_completed(product.place(burst(product.stack.deployment, 1, seed=99)))
        keys = product.place(burst(product.stack.deployment, BURST, seed=number))
        time.sleep(2 * number)
        node.fail(Fault.DROP)
        before = len(_accepted(product, keys))
        assert before < BURST, "all transfers were out before the outage: nothing is measured"
        time.sleep(OUTAGE_SECONDS)
        node.fail(Fault.NONE)
        back = time.monotonic()
        _await(lambda: len(_accepted(product, keys)) == BURST)
        out = time.monotonic() - back
        safety = PgBridgeStore(connect_database(product.stack.database_url)).safety
        _await(lambda: state_of(safety.scope_states(), GLOBAL).state is State.NORMAL)
        normal = time.monotonic() - back
        product.await_completed(keys)
        product.check_invariants()
        return {
            f"of {BURST} orders {before} out before the outage, the last": out,
            "throttled no more": normal,
            "all completed": time.monotonic() - back,
        }


def _accepted(product: Product, keys: Sequence[str]) -> list[str]:
    """Return the transfers that the node has, mined or not."""
    sent = [o.transfer_tx for o in product.orders(keys) if o.transfer_tx is not None]
    return [tx for tx in sent if _known(product, tx)]


def _known(product: Product, tx: str) -> bool:
    try:
        product.l1.eth.get_transaction(HexStr(tx))
    except TransactionNotFound:
        return False
    return True


def _halt(_: int) -> dict[str, float]:
    """Halt while runs sign 400 orders with a KMS."""
    signed: list[float] = []
    with _kms(signed) as environ, _product(nodes=1, chains=[], settings=environ) as product:
        who = ("--by", "Ann", "--reason", "a measurement")
        _mmbot(product, "halt", *who)
        keys = [
            key
            for seed in range(QUEUED // _IN_A_BLOCK)
            for key in product.place(burst(product.stack.deployment, _IN_A_BLOCK, seed=seed))
        ]
        product.await_all(keys, lambda _: True)
        _mmbot(product, "resume", *who)
        _await(lambda: len(signed) > _SIGNED_BEFORE)
        start = _mmbot(product, "safety")
        before = len(signed)
        took = _mmbot(product, "halt", *who)
        returned = time.monotonic()
        stored = sum(order.transfer_tx is not None for order in product.orders(keys))
        time.sleep(_AFTERWARDS_SECONDS)
        assert len(signed) < QUEUED, "all was signed before the halt: nothing is measured"
        last = max([at for at in signed if at > returned], default=returned)
        left = sum(at > returned for at in signed)
        late = sum(order.transfer_tx is not None for order in product.orders(keys)) - stored
        assert late == 0, f"{late} transfers were stored after the halt"
        return {
            f"{before} of {QUEUED} signed, the halt": took,
            "where `mmbot safety` took": start,
            f"the last of {left} signatures (of claims, or thrown away) after it": last - returned,
        }


def _mmbot(product: Product, *args: str) -> float:
    """Run the operator's command; return the seconds that it took."""
    begun = time.monotonic()
    subprocess.run(
        [Path(sys.executable).parent / "mmbot", *args],
        env=product.stack.environ,
        check=True,
        capture_output=True,
        start_new_session=True,  # as a person's shell, that Linux schedules beside the services
    )
    return time.monotonic() - begun


@contextmanager
def _product(
    *, nodes: int, chains: Sequence[str], settings: Mapping[str, str] | None = None
) -> Iterator[Product]:
    home = Path(tempfile.mkdtemp(prefix="mmbot-bench-"))
    try:
        with FaultyStack(
            home, origins=("zksync",), nodes=nodes, chains=chains, settings=settings or {}
        ) as stack:
            yield Product(stack)
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def _kms(signed: list[float]) -> Iterator[dict[str, str]]:
    """Serve a KMS that has the market maker's key; note when each signature was asked for."""
    lock = threading.Lock()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # one line a signature else
    with pytest.MonkeyPatch.context() as patch, kms_server.kms_server() as url:
        kms_server.digests(patch)
        sign = KmsResponse.sign

        def slowly(self: KmsResponse) -> str:
            time.sleep(SIGNATURE_SECONDS)
            with lock:
                signed.append(time.monotonic())
            return str(sign(self))

        patch.setattr(KmsResponse, "sign", slowly)
        environ = {
            "AWS_ENDPOINT_URL_KMS": url,
            "AWS_REGION": "eu-west-1",
            "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_ACCESS_KEY_ID": "bench",
            "AWS_SECRET_ACCESS_KEY": "bench",
        }
        for name, value in environ.items():
            patch.setenv(name, value)
        client = boto3.client("kms")
        created = client.create_key(KeySpec="ECC_SECG_P256K1", KeyUsage="SIGN_VERIFY")
        key_id = created["KeyMetadata"]["KeyId"]
        held: Any = next(b["eu-west-1"].keys[key_id] for _, b in kms_backends.items())
        secret = int.from_bytes(accounts.account(1).key)
        held.private_key.private_key = ec.derive_private_key(secret, _CURVE)
        yield {**environ, "MMBOT_L1_KMS_KEY_ID": key_id, "MMBOT_L1_PRIVATE_KEY": ""}


def _await(there: Callable[[], bool]) -> None:
    end = time.monotonic() + _WAIT_SECONDS
    while not there():
        if time.monotonic() > end:
            raise AssertionError(f"not there after {_WAIT_SECONDS:.0f} s")
        time.sleep(0.05)


if __name__ == "__main__":
    main(sys.argv[1:2] or ["outage", "halt"], int(sys.argv[2]) if sys.argv[2:] else 3)
