"""Exceptions that end a check that does not pass."""


class CheckFailed(AssertionError):  # noqa: N818  # as pytest's own
    """A task or its data are not sound; the message says why, why it matters and the usual cause."""


class CheckAdvised(Exception):  # noqa: N818  # it is no error
    """A task trains rightly on one device, and something could be better; the message says what."""


class CheckSkipped(Exception):  # noqa: N818  # it is no error
    """A check does not apply; the message says why."""
