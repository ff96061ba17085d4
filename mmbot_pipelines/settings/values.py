"""The types of the settings' values, each with its one-line error message.

No message repeats the value it refuses: it may be a secret that was pasted into the
wrong variable. Every message continues a line that begins with the variable's name.
"""

import itertools
import re
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import BeforeValidator, SecretStr

from mmbot_pipelines.core.failpoints import Point
from mmbot_pipelines.core.money import UINT256_MAX, Address, Wei

ACCEPTED_TAGS = ("safe", "finalized", "committed", "l1_committed")
# The applications, a line each: each has its modules in `defs`, `wiring`, `settings` and `cli`.
APPS = ("bridge",)
TEXT, JSON = LOG_FORMATS = ("text", "json")
NONE = "none"  # explicit "no limit", where an empty value is refused
_INT64_MAX = 2**63 - 1
_SWITCHES = {"true": True, "yes": True, "on": True, "1": True}
_SWITCHES |= {"false": False, "no": False, "off": False, "0": False}


class TierSetting(NamedTuple):
    """Orders of `amount` wei or more wait until their block has `blocks` confirmations.

    None: until L1 has accepted their block.
    """

    amount: Wei
    blocks: int | None


def entries(text: str) -> list[str]:
    """Return what is separated by commas."""
    return [entry.strip() for entry in text.split(",") if entry.strip()]


def whole(text: str, what: str, *, minimum: int = 0, maximum: int = UINT256_MAX) -> int:
    """Return a whole number within bounds.

    Raises:
        ValueError: it is none; the message does not repeat it.
    """
    if not re.fullmatch(r"[0-9]{1,78}", text) or not minimum <= int(text) <= maximum:
        span = f"from {minimum} on" if maximum >= _INT64_MAX else f"from {minimum} to {maximum}"
        raise ValueError(f"must be {what}: a whole number {span}, digits only")
    return int(text)


def _wei(text: str) -> int:
    return whole(text, "an amount in wei (0.1 ETH is 100000000000000000)")


def _limit(text: str) -> int | None:
    return None if text.lower() == NONE else _wei(text)


def _switch(text: str) -> bool:
    if text.lower() not in _SWITCHES:
        raise ValueError("must be true or false")
    return _SWITCHES[text.lower()]


def _seconds(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text):
        raise ValueError("must be a number of seconds from 0 on, e.g. 30")
    return float(text)


def _ethereum_address(text: str) -> str:
    # Commands that read the database alone need no Ethereum.
    from eth_utils.address import is_checksum_address, to_checksum_address  # noqa: PLC0415

    if not re.fullmatch("0x[0-9a-fA-F]{40}", text):
        raise ValueError("must be an address: 0x and 40 hex digits")
    if int(text, 16) == 0:
        raise ValueError("is the zero address: set it to the contract or wallet meant")
    if text[2:] != text[2:].lower() and not is_checksum_address(text):
        raise ValueError(
            "has a wrong EIP-55 checksum, so a character is mistyped: copy the address again"
        )
    return to_checksum_address(text)


def _accepted(text: str) -> str | int:
    if text in ACCEPTED_TAGS:
        return text
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise ValueError(
            f"must be one of {', '.join(ACCEPTED_TAGS)}, or a number of blocks behind the newest"
        )
    return int(text)


def _apps(text: str) -> list[str]:
    names = entries(text)
    if not names or set(names) - set(APPS) or len(set(names)) < len(names):
        raise ValueError(f"must name each application once, separated by commas: {', '.join(APPS)}")
    return names


def _log_format(text: str) -> str:
    if text not in LOG_FORMATS:
        raise ValueError(f"must be {' or '.join(LOG_FORMATS)}")
    return text


def _registry_abi(text: str) -> str:
    if text not in ("v1", "v2"):
        raise ValueError("must be v1 or v2")
    return text


def _tiers(text: str) -> list[TierSetting]:
    if text.lower() == NONE:
        return []
    tiers = []
    for entry in entries(text):
        match = re.fullmatch(r"([0-9]{1,78})\s*:\s*([0-9]{1,6}|final)", entry)
        if match is None:
            raise ValueError(
                "must be tiers of wei:blocks, or wei:final for blocks that L1 has accepted, "
                "e.g. 0:1,50000000000000000:5,1000000000000000000:final"
            )
        tiers.append(
            TierSetting(Wei(int(match[1])), None if match[2] == "final" else int(match[2]))
        )
    blocks = [10**6 if t.blocks is None else t.blocks for t in tiers]
    if not _rising([t.amount for t in tiers], 1) or not _rising(blocks, 0):
        raise ValueError(
            "must rise from tier to tier: each with more wei and no fewer blocks than the last"
        )
    return tiers


def _host_names(text: str) -> list[str]:
    names = entries(text)
    if not all(re.fullmatch(r"[0-9A-Za-z]([0-9A-Za-z.-]{0,251}[0-9A-Za-z])?", n) for n in names):
        raise ValueError(
            "must be host names without scheme, port or path, separated by commas, e.g. "
            "mmbot.example.org"
        )
    return [name.lower() for name in names]


def _failpoints(text: str) -> list[tuple[Point, Path]]:
    points = []
    for entry in entries(text):
        name, _, token = entry.partition("=")
        if name not in list(Point) or not Path(token).is_absolute():
            raise ValueError(
                f"must be name=/absolute/token/file, with names of {', '.join(Point)}; "
                "it is for tests: remove it"
            )
        points.append((Point(name), Path(token)))
    return points


def _rising(numbers: Sequence[int], minimum: int) -> bool:
    return all(b - a >= minimum for a, b in itertools.pairwise(numbers))


def _hex_key(text: str) -> SecretStr:
    if not re.fullmatch(r"(0x)?[0-9a-fA-F]{64}", text):
        raise ValueError("is no private key: 64 hex digits are needed, with or without 0x")
    return SecretStr(text)


def _kms_key_id(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9:/_-]{1,2048}", text):
        raise ValueError("must be the id, ARN or alias/name of a key in AWS KMS")
    return text


def _private_file(text: str) -> Path:
    path = Path(text).expanduser()
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise ValueError(f"names {path}, which is not a file: set it to the file's path")
        with path.open("rb"):
            pass
    except OSError as e:
        raise ValueError(
            f"names {path}, which cannot be read ({e.strerror}): fix the path or its owner"
        ) from None
    if mode & (stat.S_IROTH | stat.S_IWOTH):
        raise ValueError(f"names {path}, which everybody can open: run chmod 600 {path}")
    return path


def _absolute(text: str) -> Path:
    if not Path(text).is_absolute():
        raise ValueError("must be an absolute path: Dagster takes no other")
    return Path(text)


Switch = Annotated[bool, BeforeValidator(_switch)]
Seconds = Annotated[float, BeforeValidator(_seconds)]
Count = Annotated[int, BeforeValidator(lambda t: whole(t, "a count", minimum=1, maximum=1_000_000))]
Days = Annotated[int, BeforeValidator(lambda t: whole(t, "a count", minimum=1, maximum=36_500))]
BlockNumber = Annotated[int, BeforeValidator(lambda t: whole(t, "a block", maximum=_INT64_MAX))]
ChainId = Annotated[
    int, BeforeValidator(lambda t: whole(t, "a chain id", minimum=1, maximum=_INT64_MAX))
]
BasisPoints = Annotated[
    int, BeforeValidator(lambda t: whole(t, "hundredths of a percent", maximum=10_000))
]
Percent = Annotated[
    int, BeforeValidator(lambda t: whole(t, "a percentage", minimum=1, maximum=100))
]
WeiAmount = Annotated[Wei, BeforeValidator(_wei)]
WeiLimit = Annotated[Wei | None, BeforeValidator(_limit)]
EthereumAddress = Annotated[Address, BeforeValidator(_ethereum_address)]
Margin = Annotated[int, BeforeValidator(lambda t: whole(t, "a percentage", maximum=1_000))]
Accepted = Annotated[str | int, BeforeValidator(_accepted)]
Apps = Annotated[tuple[str, ...], BeforeValidator(_apps)]
LogFormat = Annotated[str, BeforeValidator(_log_format)]
RegistryAbi = Annotated[str, BeforeValidator(_registry_abi)]
HostNames = Annotated[tuple[str, ...], BeforeValidator(_host_names)]
Failpoints = Annotated[tuple[tuple[Point, Path], ...], BeforeValidator(_failpoints)]
Tiers = Annotated[tuple[TierSetting, ...], BeforeValidator(_tiers)]
KmsKeyId = Annotated[str, BeforeValidator(_kms_key_id)]
HexKey = Annotated[SecretStr, BeforeValidator(_hex_key)]
PrivateFile = Annotated[Path, BeforeValidator(_private_file)]
AbsolutePath = Annotated[Path, BeforeValidator(_absolute)]
