"""Operations with a bug that the campaign must see."""

from contextlib import suppress

from crdt_bench.campaign.nth_operations import Edit
from crdt_sync.errors import StoreError


class ForgetfulEdit(Edit):
    """An edit that is acknowledged whether or not it is on disk."""

    acknowledged = 0

    def perform(self) -> None:
        with suppress(StoreError):
            super().perform()
        self.acknowledged += 1

    def check(self, complete: bool) -> None:
        assert self.replica.get("customers/held")["visits"] > self.acknowledged
