"""The result of a decision: actions on the cluster, a status, the desired run, events."""

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
    """The location of a run."""

    experiment_id: str
    run_id: str


@dataclass(frozen=True, slots=True)
class StepWatch:
    """That new training steps are waited for: from `since` on, never longer than `seconds`."""

    since: datetime
    seconds: int


@dataclass(frozen=True, slots=True)
class RunIntent:
    """The desired run in MLflow; enough to create it and to correct it.

    With `create` False a run that does not exist is not created: there is nothing to close.
    `replaces` is the id of a deleted run that this one replaces. `starting` says that pods are
    about to run: MLflow creates a run as RUNNING, and it may stay so for a moment.
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
        """The part whose change requires a call; the rest only serves to find or create the run."""
        return self.status, self.ended_at, self.create, self.tags, self.replaces


@dataclass(frozen=True, slots=True)
class StepView:
    """What MLflow knows about the training's steps, where a StepWatch asks for it.

    `last` is the time of the newest step, `checked` when MLflow was last queried for it,
    `answering_since` since when it has answered without a break, as far as this process knows.
    `measured` says that the trainer's monitor delivers metrics, so steps would arrive as well.
    """

    answering_since: datetime
    last: datetime | None = None
    checked: datetime | None = None
    measured: bool = False


@dataclass(frozen=True, slots=True)
class RunView:
    """What is known about the run in MLflow.

    `status` is the last one that MLflow confirmed; `closed` says that no other run or model of the
    pods is open; `problem` is why the wanted status could not be set; `missing` says that MLflow
    answered and has no run of this job, `deleted` that somebody deleted the run. `foreign` names
    runs with the job's uid that are not its own, `unjoined` is an agent's report about nodes that
    train without each other, `preparing` that of an initializer about its progress.
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
    preparing: str = ""


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
    """A Kubernetes Event for a change that the status records."""

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
    """Seconds until the next reconcile, if no change would trigger one."""


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
