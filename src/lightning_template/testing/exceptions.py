"""Exceptions that end a check that does not pass."""


class _Finding(Exception):  # noqa: N818  # it is no error of the program
    """What a check found.

    Args:
        message: What is wrong, with numbers, why it matters, and the usual cause.
        place: File and line of the user's code; empty if the check knows no better than the hook that it looks at.
    """

    def __init__(self, message: str, place: str = "") -> None:
        super().__init__(message)
        self.place = place


class CheckFailed(_Finding, AssertionError):  # noqa: N818  # as pytest's own
    """A task or its data are not sound."""


class CheckAdvised(_Finding):  # it is no error
    """A task trains rightly on one device, and something could be better."""


class CheckSkipped(Exception):  # noqa: N818  # it is no error
    """A check does not apply; the message says why."""
