"""Whose update used up its processor time, and whether others go first before it is tried again with more."""

from collections import OrderedDict

from crdt_sync import limits

_Key = tuple[str, str]  # sender and record


class Suspects:
    """What is remembered between batches. A sender in good standing is put off once or so, and tried then anyway.

    After it was found to send poison, its next suspect waits until nobody else does, and what else it sends waits with
    it. A suspect is known by sender and record,
    as the same edit may come in other bytes.
    """

    def __init__(self, entries_max: int = limits.POISONS_REMEMBERED_MAX) -> None:
        self._entries_max = entries_max
        self._put_off: OrderedDict[_Key, int] = OrderedDict()
        self._poisoners: OrderedDict[str, bool] = OrderedDict()  # and whether there is a suspect of theirs again

    def knows(self, sender: str, record: str) -> bool:
        """Whether what this sender sends for the record is to be tried alone, and with more time."""
        return (sender, record) in self._put_off

    def shunned(self, sender: str) -> bool:
        """Whether all that it sends has to wait while others do."""
        return self._poisoners.get(sender, False)

    def gives_way(self, sender: str, record: str) -> bool:
        """Whether it has to wait while others do."""
        return sender in self._poisoners or self._put_off.get((sender, record), 0) < limits.SUSPECT_PUT_OFF_MAX

    def put_off(self, sender: str, record: str) -> None:
        """It waits this time."""
        key = (sender, record)
        self._put_off[key] = self._put_off.get(key, 0) + 1
        if sender in self._poisoners:
            self._poisoners[sender] = True
        if len(self._put_off) > self._entries_max:
            self._put_off.popitem(last=False)

    def passed(self, sender: str, record: str) -> None:
        """It was no poison, and neither is the next one taken for it."""
        if self._put_off.pop((sender, record), None) is not None:
            self._poisoners.pop(sender, None)

    def condemned(self, sender: str, record: str) -> None:
        """It was."""
        self._put_off.pop((sender, record), None)
        self._poisoners[sender] = False
        if len(self._poisoners) > self._entries_max:
            self._poisoners.popitem(last=False)
