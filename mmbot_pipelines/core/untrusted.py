"""Text that somebody else wrote: a contract's author, a node's operator."""

import unicodedata

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
