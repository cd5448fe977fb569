"""The table of design: which status the run has in which state of the job."""

from trainingjob_operator.api import State
from trainingjob_operator.core.intent import RunStatus

RUN_STATUS: dict[State, RunStatus] = {
    State.PENDING: RunStatus.SCHEDULED,
    State.SUSPENDED: RunStatus.SCHEDULED,
    State.QUEUED: RunStatus.SCHEDULED,
    State.STARTING: RunStatus.SCHEDULED,
    State.RESTARTING: RunStatus.SCHEDULED,
    State.RUNNING: RunStatus.RUNNING,
    State.SUCCEEDED: RunStatus.FINISHED,
    State.FAILED: RunStatus.FAILED,
    State.STOPPED: RunStatus.KILLED,
}

TERMINAL_STATES = frozenset({State.SUCCEEDED, State.FAILED, State.STOPPED})
# The job waits on purpose: its deadline stands still.
WAITING_STATES = frozenset({State.SUSPENDED, State.QUEUED})
