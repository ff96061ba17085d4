"""What of a node's URL may be an API key, and a node's answer without it."""

from collections.abc import Sequence
from urllib.parse import parse_qsl, unquote, urlsplit

from mmbot_pipelines.core.url_redaction import secret_parts

# Providers' keys have 20 digits and letters or more; the words in a path and in JSON-RPC are
# shorter or have no digit, and what is in no key must not be changed in an answer.
_KEY_CHARACTERS = 16


def secrets_in(url: str) -> tuple[bytes, ...]:
    """Return what may be a secret in a URL, and can be told from other words."""
    parts = urlsplit(url)
    words = [
        *(parts.username or "", parts.password or ""),
        *unquote(parts.path).split("/"),
        *(value for _, value in parse_qsl(parts.query)),
        *secret_parts(url),
    ]
    long = (w for w in words if len(w) >= _KEY_CHARACTERS and any(c.isdigit() for c in w))
    return tuple(w.encode() for w in long)


def redact(answer: bytes, keys: Sequence[bytes]) -> bytes:
    """Return a node's answer without our keys: it may say which one it refuses."""
    for key in keys:
        answer = answer.replace(key, b"***")
    return answer
