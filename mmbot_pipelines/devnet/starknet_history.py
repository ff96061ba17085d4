"""The state of the L2 as it was after every block: what makes reading the past and reorgs cheap."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Set as AbstractSet
from typing import NamedTuple


class Slot(NamedTuple):
    """Name one value of the state."""

    kind: str  # "storage", "nonce" or "class"
    address: int  # of the contract
    key: int = 0  # of the storage variable


class History:
    """Keep every slot's values with the block that wrote them."""

    def __init__(self) -> None:
        self._values: defaultdict[Slot, list[tuple[int, int]]] = defaultdict(list)
        self._changed: defaultdict[int, set[Slot]] = defaultdict(set)

    def read(self, slot: Slot, at: int) -> int:
        """Return the slot's value after block `at`, 0 where never written."""
        return self._last(slot, at)[1]

    def written(self, slot: Slot, at: int) -> int:
        """Return the last block up to `at` that wrote the slot, 0 where none did."""
        return self._last(slot, at)[0]

    def write(self, slot: Slot, value: int, at: int) -> None:
        """Set the slot's value as of block `at`, the newest one."""
        values = self._values[slot]
        if values and values[-1][0] == at:
            values.pop()
        values.append((at, value))
        self._changed[at].add(slot)

    def changed(self, at: int) -> AbstractSet[Slot]:
        """Return the slots that block `at` wrote."""
        return self._changed.get(at, set())

    def drop_from(self, block: int) -> None:
        """Forget what `block` and all later ones wrote."""
        for number in [n for n in self._changed if n >= block]:
            for slot in self._changed.pop(number):
                while self._values[slot] and self._values[slot][-1][0] >= block:
                    self._values[slot].pop()

    def _last(self, slot: Slot, at: int) -> tuple[int, int]:
        values = self._values.get(slot, [])
        index = bisect_right(values, at, key=lambda item: item[0])
        return values[index - 1] if index else (0, 0)
