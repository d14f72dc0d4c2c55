"""What a checker raises."""


class Failure(Exception):
    """The core broke a promise: `rule` says which, `message` how."""

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(f"{rule}: {message}")
        self.rule = rule
        self.message = message

    def __reduce__(self) -> tuple[type["Failure"], tuple[str, str]]:
        """So that it travels between processes, which an exception made of other arguments than its own cannot."""
        return type(self), (self.rule, self.message)
