"""What goes wrong for a reason that the user can do something about."""


class UserError(Exception):
    """A mistake, a missing right or a server that is away: `message`, and what to do about it."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}: {self.remedy}" if self.remedy else self.message


class JobFailed(Exception):  # noqa: N818 - the name that readers of `except` expect of an outcome
    """A job that was waited for did not succeed.

    `job` is its name; `reason` and `message` say why, `rank` (of the node), `frame` (line of the
    code) and `exit_code` where.
    """

    def __init__(
        self,
        job: str,
        reason: str,
        message: str,
        *,
        rank: int | None = None,
        frame: str | None = None,
        exit_code: int = 1,
    ) -> None:
        super().__init__(job, reason, message)
        self.job = job
        self.reason = reason
        self.message = message
        self.rank = rank
        self.frame = frame
        self.exit_code = exit_code

    def __str__(self) -> str:
        return f"{self.job} failed: {self.reason}: {self.message}"
