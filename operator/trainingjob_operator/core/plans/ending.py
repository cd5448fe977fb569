"""How pods and Jobs are ended, so that they remain readable.

Deleting a pod deletes its logs. A pod whose spec.activeDeadlineSeconds has passed is stopped by its
kubelet (SIGTERM, the grace period, SIGKILL) and stays. So does a Job whose own has passed: its
controller deletes only the pods that have not ended.
"""

from trainingjob_operator.api import TrainingJob
from trainingjob_operator.core import gang
from trainingjob_operator.core.intent import Action, ActionKind
from trainingjob_operator.core.observe import JobView, Observed, PodView


def end_all(job: TrainingJob, observed: Observed) -> tuple[Action, ...]:
    """End all pods and Jobs of a TrainingJob: those that run first, then those that never ran.

    In that order, since ending a Job deletes its live pods.
    """
    ends = end_pods(observed, observed.pods)
    if ends or any(_runs(pod, observed) for pod in observed.pods):
        return ends
    jobs = observed.jobs_of(job.metadata.uid)
    return tuple(action for child in jobs for action in _end_job(job, child, observed.pods))


def end_pods(observed: Observed, pods: tuple[PodView, ...]) -> tuple[Action, ...]:
    """Have the kubelets end the pods that run; delete those that did not end in time."""
    running = [pod for pod in pods if pod.on_a_node]
    stuck = [pod for pod in running if pod.name in observed.stuck]
    ends = [Action(ActionKind.END_POD, name=pod.name) for pod in running if not pod.ending]
    return (*ends, *(Action(ActionKind.DELETE_POD, name=pod.name) for pod in stuck))


def _runs(pod: PodView, observed: Observed) -> bool:
    """Whether a node is about to end a pod, so that it may still be readable afterwards."""
    return pod.live and bool(pod.node) and pod.name not in observed.stuck


def _end_job(job: TrainingJob, child: JobView, pods: tuple[PodView, ...]) -> tuple[Action, ...]:
    """End a Job with pods that it has yet to create or that have no node; nothing if it is over.

    A suspended Job has no pod, and its own deadline would not end it.
    """
    mine = tuple(pod for pod in pods if pod.job_uid == child.uid)
    if child.ended or child.failing or (mine and gang.all_ended(job, mine)):
        return ()
    if child.deleting or child.suspended:
        return deletion(child, pods)
    return () if child.ending else (Action(ActionKind.END_JOB, name=child.name),)


def deletion(child: JobView, pods: tuple[PodView, ...]) -> tuple[Action, ...]:
    """Delete a Job in the foreground: it disappears only after its pods.

    Somebody else may have deleted it in the background: that keeps its pods as long as a finalizer
    keeps the Job.
    """
    on_its_way = child.foreground or child.orphaning
    left = any(pod.job_uid == child.uid for pod in pods)
    if on_its_way or (child.deleting and not left):
        return ()
    return (Action(ActionKind.DELETE_JOB, name=child.name, uid=child.uid),)


def release(children: tuple[JobView, ...]) -> tuple[Action, ...]:
    """Remove our finalizer from Jobs whose attempt's end is recorded: they are needed no more."""
    return tuple(
        Action(ActionKind.RELEASE_JOB, name=child.name, uid=child.uid)
        for child in children
        if child.held
    )
