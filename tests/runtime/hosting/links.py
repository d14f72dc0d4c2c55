"""Ways to devices that take everything at once."""


class QuietLink:
    """A link that keeps nothing of what it was sent, but why it was closed."""

    arriving = unsent = 0
    closed = ""

    def has_room(self) -> bool:
        return True

    def call_when_room(self) -> None:
        pass

    def send(self, frame: bytes) -> None:
        pass

    def tell(self, frame: bytes) -> bool:
        self.send(frame)
        return self.has_room()

    def hangup(self, closed: object) -> None:
        self.closed = closed.message  # type: ignore[attr-defined]

    def named(self) -> dict[str, str]:
        return {}

    def finished(self, verdicts: object) -> None:
        pass
