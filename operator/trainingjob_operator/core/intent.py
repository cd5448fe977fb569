"""What a decision asks for: actions on the cluster, a status, the run as it ought to be, events."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from trainingjob_operator.api import TrainingJobStatus


class RunStatus(StrEnum):
    """MLflow's run statuses (MLflow REST API, RunStatus)."""

    SCHEDULED = "SCHEDULED"
    RUNNING = "RUNNING"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"

    @property
    def terminal(self) -> bool:
        """Whether a run in this status has an end time."""
        return self not in (RunStatus.SCHEDULED, RunStatus.RUNNING)


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """Where a run is."""

    experiment_id: str
    run_id: str


@dataclass(frozen=True, slots=True)
class StepWatch:
    """That new training steps are waited for: from `since` on, never longer than `seconds`."""

    since: datetime
    seconds: int


@dataclass(frozen=True, slots=True)
class RunIntent:
    """The run as it ought to be in MLflow; enough to create it and to set it right.

    With `create` False a run that does not exist is left so: there is nothing to close.
    `replaces` is the id of a run that somebody deleted: another one takes its place. `starting`
    says that pods are about to run: MLflow makes a run RUNNING, and for a moment it may stay so.
    """

    uid: str
    tracking_uri: str
    experiment: str
    name: str
    created_at: datetime
    status: RunStatus
    ended_at: datetime | None
    identity: RunIdentity | None
    tags: tuple[tuple[str, str], ...] = ()
    create: bool = True
    watch: StepWatch | None = None
    replaces: str | None = None
    workspace: str = ""
    starting: bool = False

    @property
    def created_ms(self) -> int:
        """The run's start in milliseconds."""
        return _milliseconds(self.created_at)

    @property
    def end_ms(self) -> int:
        """The run's end in milliseconds, 0 without one."""
        return _milliseconds(self.ended_at) if self.ended_at else 0

    @property
    def wanted(self) -> tuple[object, ...]:
        """The part whose change asks for a call; the rest only serves to find or make the run."""
        return self.status, self.ended_at, self.create, self.tags, self.replaces


@dataclass(frozen=True, slots=True)
class StepView:
    """What MLflow tells of the training's steps, where a StepWatch asks for it.

    `last` is the time of the newest point that tells of one, `checked` when MLflow was asked for
    it, `answering_since` since when it has answered without a break, as far as this process knows.
    `measured` says that the trainer's monitor delivers, so that steps would be told, too.
    """

    answering_since: datetime
    last: datetime | None = None
    checked: datetime | None = None
    measured: bool = False


@dataclass(frozen=True, slots=True)
class RunView:
    """What is known of the run in MLflow.

    `status` is the last one that MLflow confirmed, `closed` says that nothing is left open of what
    the pods opened besides; `problem` is why MLflow could not be told of
    the wanted one; `missing` says that MLflow answered and has no run of this job, `deleted` that
    somebody deleted the run. `foreign` names runs with the job's uid that are not its own,
    `unjoined` is what an agent says of nodes that train without each other.
    """

    identity: RunIdentity | None = None
    status: RunStatus | None = None
    closed: bool = False
    problem: str | None = None
    missing: bool = False
    deleted: bool = False
    metrics: tuple[tuple[str, float], ...] = ()
    steps: StepView | None = None
    foreign: str | None = None
    unjoined: str | None = None


class ActionKind(StrEnum):
    """What the shell can do to the cluster."""

    CREATE_SERVICE = "CreateService"
    CREATE_CLAIM = "CreateClaim"
    CREATE_JOB = "CreateJob"
    END_JOB = "EndJob"
    DELETE_JOB = "DeleteJob"
    RELEASE_JOB = "ReleaseJob"
    END_POD = "EndPod"
    DELETE_POD = "DeletePod"
    DELETE_TRAININGJOB = "DeleteTrainingJob"


@dataclass(frozen=True, slots=True)
class Action:
    """One write; `manifest` for a creation, else `name`, and `uid` where the name may be taken."""

    kind: ActionKind
    manifest: dict[str, Any] | None = None
    name: str = ""
    uid: str = ""


@dataclass(frozen=True, slots=True)
class EventIntent:
    """A Kubernetes Event for a change that the status tells."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The outcome of one decision, carried out in this order: actions, status, events."""

    actions: tuple[Action, ...] = ()
    status: TrainingJobStatus | None = None
    run: RunIntent | None = None
    events: tuple[EventIntent, ...] = ()
    requeue_after: float | None = field(default=None)
    """Seconds until the next look, where nothing that changes would cause one."""


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
