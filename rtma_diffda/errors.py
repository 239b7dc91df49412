"""The errors a user can cause, each with the exit status that the command line answers.

Every message is a sentence that says what was wrong, where, what was found and what was expected.
"""


class RtmaDiffdaError(Exception):
    """Any failure that this package explains in a sentence. ``exit_status`` is what the command line returns."""

    exit_status = 1


class UsageError(RtmaDiffdaError):
    """Wrong use or configuration: an unknown override, a value outside its range (exit status 2)."""

    exit_status = 2


class InputError(RtmaDiffdaError):
    """Input missing or rejected: no file, another grid, a field of NaN, corrupt bytes (exit status 3)."""

    exit_status = 3


class DegradedResult(RtmaDiffdaError):
    """A product was published, but by a fallback; raised only after it is safely stored (exit status 4)."""

    exit_status = 4


class VerificationGateError(RtmaDiffdaError):
    """A verification limit was not met (exit status 5)."""

    exit_status = 5
