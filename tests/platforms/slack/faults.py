"""What can be made to go wrong with the Web API, call by call."""

from dataclasses import dataclass

POSTS = frozenset({"chat.postMessage", "chat.startStream", "files.completeUploadExternal"})
"""The calls that put a new message before people."""


@dataclass
class Fault:
    """`kind`: "lost" (carried out, then the connection is cut), "limited" (429), "failed" (an HTTP status of the server's own, nothing is
    done), "broken" (carried out, answered with half a JSON), "slow" (carried out, answered after `seconds`), "refused" (`error`)."""

    kind: str
    count: int
    methods: frozenset[str]
    seconds: float = 0.0
    status: int = 500
    error: str = ""


class Faults:
    """What the next calls meet. Of each kind one is in force at a time; a new one takes its place."""

    def __init__(self) -> None:
        self._faults: dict[str, Fault] = {}
        self.token_error = ""  # an error code: every call of the Web API is refused with it

    def set(self, fault: Fault) -> None:
        self._faults[fault.kind] = fault

    def clear(self) -> None:
        self._faults.clear()
        self.token_error = ""

    def take(self, kind: str, method: str) -> Fault | None:
        """The fault of that kind that this call meets, which is then used up by one."""
        fault = self._faults.get(kind)
        if fault is None or fault.count < 1 or (fault.methods and method not in fault.methods):
            return None
        fault.count -= 1
        return fault
