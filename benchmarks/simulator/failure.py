"""What a checker raises."""


class Failure(Exception):
    """The core broke a promise: `rule` says which, `message` how."""

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(f"{rule}: {message}")
        self.rule = rule
        self.message = message
