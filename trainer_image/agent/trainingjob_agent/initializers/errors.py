"""Why data cannot be fetched: the reason in the job's status, and whether a retry may help."""

EXIT_UNAVAILABLE = 200
"""In the range of exit codes that another attempt follows (spec.retry)."""
_EXIT_FAILURE = 1


class DataError(Exception):
    """Data cannot be fetched; `reason` is that of the job's status."""

    reason = "InitializerFailed"
    exit_code = _EXIT_FAILURE


class DataNotFoundError(DataError):
    """The source has no such data."""

    reason = "DataNotFound"


class DataAccessDeniedError(DataError):
    """The source wants a login, or another one."""

    reason = "DataAccessDenied"


class ChecksumMismatchError(DataError):
    """What was fetched is not what was asked for."""

    reason = "ChecksumMismatch"


class InvalidArchiveError(DataError):
    """An archive is damaged, or has what must not be unpacked."""

    reason = "InvalidArchive"


class DataUnavailableError(DataError):
    """The source does not answer, or fails; the same may work later."""

    reason = "DataUnavailable"
    exit_code = EXIT_UNAVAILABLE
