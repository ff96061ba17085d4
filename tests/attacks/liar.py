"""A node that answers correctly except for the methods that a test falsifies."""

from collections.abc import Callable
from typing import Any

from tests.chaos.faulty_rpc import Fault, FaultyRpc

Lie = Callable[[Any, Any], Any]  # of the question's parameters and the true result


class Liar(FaultyRpc):
    """A node in front of `upstream`, as a context manager."""

    def __init__(self, upstream: str, *, seed: int = 0, **lies: Lie) -> None:
        """Describe the node; a lie's name is the method's.

        seed: of the lies of `Fault.LIE`.
        """
        super().__init__(upstream, seed=seed)
        self.lies: dict[str, Any] = dict(lies)

    def _distorted(self, question: Any, answer: Any, fault: Fault) -> Any:
        lie = self.lies.get(question["method"])
        if lie is None or "result" not in answer:
            return super()._distorted(question, answer, fault)
        return answer | {"result": lie(question["params"], answer["result"])}
