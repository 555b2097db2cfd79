"""What can end the work without an answer."""


class StoppedError(Exception):
    """The time limit or a signal ended the work before there was any answer."""


class DisagreementError(AssertionError):
    """Two routes to the same answer differ: a bug in shardwise or in the solver. No answer is given."""
