"""What happened, as text lines: hashed always, kept when somebody wants to read them."""

import hashlib


class Trace:
    """One run's story. `digest` is equal for two runs exactly when every line is."""

    def __init__(self, keep: bool = False) -> None:
        self._hash = hashlib.blake2b(digest_size=16)
        self.lines: list[str] | None = [] if keep else None

    def note(self, now: int, who: str, what: str) -> None:
        """Add a line: when (microseconds of virtual time), who, what."""
        line = f"{now:>12} {who:<8} {what}"
        self._hash.update(f"{line}\n".encode())
        if self.lines is not None:
            self.lines.append(line)

    @property
    def digest(self) -> str:
        """The hash of all lines so far, hexadecimal."""
        return self._hash.hexdigest()
