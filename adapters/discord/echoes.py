"""The keys and ids of our own messages, as Discord told them in answers and in its echo of what we post."""

from collections import OrderedDict
from typing import Final

_MOST: Final = 5_000


class Echoes:
    """The keys and ids of our own messages, as Discord told them."""

    def __init__(self) -> None:
        self._ids: OrderedDict[str, str] = OrderedDict()
        self._keys: OrderedDict[str, str] = OrderedDict()

    def told(self, key: str, id_: str) -> None:
        for table, name, known in ((self._ids, key, id_), (self._keys, id_, key)):
            table[name] = known
            if len(table) > _MOST:
                table.popitem(last=False)

    def id_of(self, key: str) -> str:
        return self._ids.get(key, "")

    def key_of(self, id_: str) -> str:
        return self._keys.get(id_, "")

    def is_ours(self, id_: str) -> bool:
        return id_ in self._keys
