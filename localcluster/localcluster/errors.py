"""Errors that end the command with one line and no traceback."""


class ClusterError(Exception):
    """Something went wrong that the message explains to the user; exit code 1."""

    exit_code = 1


class UnsupportedMachineError(ClusterError):
    """This machine lacks what a cluster needs; exit code 2."""

    exit_code = 2
