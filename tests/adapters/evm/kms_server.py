"""AWS KMS as moto serves it on 127.0.0.1.

moto hashes what it signs. With MessageType DIGEST, AWS signs the 32 bytes as they are:
`digests` corrects that, and nothing else.
"""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from moto.kms.responses import KmsResponse
from moto.kms.utils import ECDSAPrivateKey
from moto.server import ThreadedMotoServer

_sign_as_moto = KmsResponse.sign


@contextmanager
def kms_server() -> Iterator[str]:
    """Serve KMS until the block ends; return its URL."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def digests(patch: pytest.MonkeyPatch) -> None:
    """Let moto sign digests as AWS does."""
    patch.setattr(KmsResponse, "sign", _sign)


def _sign(self: Any) -> str:
    if self._get_param("MessageType") != "DIGEST":
        return str(_sign_as_moto(self))
    digest = self._get_param("Message")
    if isinstance(digest, str):
        digest = base64.b64decode(digest)
    prehashed = ec.ECDSA(utils.Prehashed(hashes.SHA256()))

    def sign(key: ECDSAPrivateKey, message: bytes, algorithm: str) -> bytes:
        assert len(digest) == 32
        return key.private_key.sign(digest, prehashed)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ECDSAPrivateKey, "sign", sign)
        return str(_sign_as_moto(self))
