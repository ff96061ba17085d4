"""Text that may not be shown as it is: what strangers wrote, and URLs with keys in them. Pure."""

import unicodedata
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

_MAX_CHARACTERS = 200

# What chat services take for a mention, a link or a mark-up. The look-alikes do nothing.
_SAFE_CHARACTERS = str.maketrans("@<>[]`*|\\", "＠‹›［］ˋ∗｜＼")  # noqa: RUF001


def cleaned(text: object, max_length: int = _MAX_CHARACTERS) -> str:
    """Return text that is safe in a log line or a table: no control characters, not long.

    Everything of Unicode's categories "other" and "separator" goes, but the plain space:
    line breaks, terminal escapes, and marks that turn the direction of writing.
    """
    given = str(text)[: 4 * max_length]  # bounded work, however long the text
    kept = "".join(c for c in given if c == " " or unicodedata.category(c)[0] not in "CZ")
    return kept if len(kept) <= max_length else kept[: max_length - 1] + "…"


def sanitized(text: object, max_length: int = _MAX_CHARACTERS) -> str:
    """Return text that is safe in a message of any service: cleaned, with nothing to click."""
    return cleaned(text, max_length).translate(_SAFE_CHARACTERS).replace("://", ": //")


_PUBLIC_LABELS = 2  # of a host's name, from the right


def parse_url(url: str) -> SplitResult | None:
    """Split a URL into its parts; return None for what is none."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # a port that is no number is found only when asked for
    except ValueError:
        return None
    return parts


def redacted_host(url: str) -> str:
    """Return what may be shown of a URL's host, with its port: "*.provider.example:8545"."""
    parts = parse_url(url)
    if parts is None or not parts.hostname:
        return "an unreadable URL"
    name = _name(parts.hostname)
    return f"{name}:{parts.port}" if parts.port else name


def secret_parts(url: str) -> list[str]:
    """Return the parts of a URL's host that are not shown, each as it may be echoed."""
    parts = parse_url(url)
    name = (parts.hostname or "") if parts else ""
    return [] if _name(name) in (name, f"[{name}]") else name.split(".")[:-_PUBLIC_LABELS]


def _name(host: str) -> str:
    try:
        return f"[{host}]" if ip_address(host).version == 6 else host
    except ValueError:
        labels = host.split(".")
        known = ".".join(labels[-_PUBLIC_LABELS:])
        return known if len(labels) <= _PUBLIC_LABELS else f"*.{known}"
