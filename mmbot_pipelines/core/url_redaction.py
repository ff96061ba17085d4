"""What of a URL may be shown. Pure: text in, text out.

Some providers put the API key into the path, others into the host's name
(https://KEY.eth.provider.example). So only the registrable part of a name is shown; an address
or a name without a dot holds no key.
"""

from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

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
