"""What can go wrong in the demo."""

from crdt_sync.errors import CrdtSyncError


class DemoFailed(CrdtSyncError):
    """Something was not as it should be."""

    code = "demo_failed"


class RelayMissing(CrdtSyncError):
    """The relay's part of this distribution is not installed."""

    code = "relay_missing"

    def __init__(self) -> None:
        super().__init__(
            "the demo needs the relay, which is not installed here",
            "Install it with: python3 -m pip install 'crdt-sync[relay]'",
        )
