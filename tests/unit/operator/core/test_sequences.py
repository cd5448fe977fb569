"""Whatever happens in whatever order: the promises about attempts and ends hold.

A small model of the cluster stands for the API server, the Job controller and the kubelets. Jobs
and pods come by two watches, so the operator may see the pods as they were at its last look.
"""

from dataclasses import replace
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from trainingjob_operator.api import Outcome, State, TrainingJob
from trainingjob_operator.core import attempts
from trainingjob_operator.core.decide import decide
from trainingjob_operator.core.goodput import as_of
from trainingjob_operator.core.intent import Action, ActionKind, RunStatus, RunView
from trainingjob_operator.core.observe import ContainerEnd, JobView, Observed, PodView

from tests.support.documents import documented_transitions
from tests.support.jobs import SERVERS, START, at, child, pod, run, training_job
from tests.support.plans import wire

ENDED = (State.SUCCEEDED, State.FAILED, State.STOPPED)
NODES = 2
# A watch of pods that is behind for so many seconds is what the operator waits for.
LAG = 5


class Life(RuleBasedStateMachine):
    """One TrainingJob with two nodes from its creation on."""

    def __init__(self) -> None:
        super().__init__()
        self.second = 0
        self.spec: dict[str, Any] = {}
        self.status: dict[str, Any] = {}
        self.jobs: dict[str, JobView] = {}
        self.pods: dict[str, PodView] = {}
        self.run: RunStatus | None = None
        self.ended: State | None = None
        self.seen: tuple[PodView, ...] = ()
        self.seen_at = 0

    @initialize(
        limit=st.integers(0, 2),
        active=st.none() | st.integers(100, 500),
        starting=st.none() | st.integers(50, 200),
        queue=st.none() | st.just("gpus"),
    )
    def create(
        self, limit: int, active: int | None, starting: int | None, queue: str | None
    ) -> None:
        self.spec = {
            "numNodes": NODES,
            "backoffLimit": limit,
            "activeDeadlineSeconds": active,
            "preRunningDeadlineSeconds": starting,
            "queueName": queue,
        }

    @property
    def job(self) -> TrainingJob:
        return training_job(self.spec, self.status)

    def observed(self, stale: bool) -> Observed:
        current = f"mnist-{attempts.at_hand(self.job.status)}"
        if not stale or self.second - self.seen_at >= LAG:
            self.seen, self.seen_at = tuple(self.pods.values()), self.second
        return Observed(
            self.jobs.get(current),
            self.seen,
            tuple(job for name, job in self.jobs.items() if name != current),
        )

    @rule(seconds=st.integers(1, 20))
    def time_passes(self, seconds: int) -> None:
        self.second += seconds

    @rule(suspend=st.sampled_from([False, False, False, True]))
    def owner_changes_his_mind(self, suspend: bool) -> None:
        self.spec["suspend"] = suspend

    @rule()
    def owner_stops_it(self) -> None:
        self.spec["stop"] = True

    @rule(looks=st.integers(1, 4), stale=st.booleans())
    def operator_looks(self, looks: int, stale: bool) -> None:
        for _ in range(looks):
            self.look(stale)

    def look(self, stale: bool) -> None:
        """The status is stored before the next look, as a conflict would see to it."""
        view = run(self.run.value) if self.run else RunView(problem="down")
        plan = decide(self.job, self.observed(stale), view, at(self.second), SERVERS)
        for action in plan.actions:
            self.act(action)
        if plan.status is not None:
            before, self.status = self.job.status.state, wire(plan)
            after = self.job.status.state
            assert before == after or (before, after) in documented_transitions()
        self.run = plan.run.status if plan.run else self.run

    def act(self, action: Action) -> None:
        match action.kind:
            case ActionKind.CREATE_JOB:
                assert action.manifest is not None
                name = action.manifest["metadata"]["name"]
                suspended = action.manifest["spec"].get("suspend", False)
                assert not any(one.live for one in self.pods.values()), "a pod lives still"
                held = "trainingjob.dev/attempt" in action.manifest["metadata"]["finalizers"]
                view = child(
                    name=name, uid=name, suspended=suspended, held=held, created_at=at(self.second)
                )
                self.jobs.setdefault(name, view)
            case ActionKind.END_POD:
                self.change_pod(action.name, ending=True)
            case ActionKind.DELETE_POD:
                self.change_pod(action.name, deleting=True, deleted_at=at(self.second))
            case _ if action.name not in self.jobs:
                return
            case ActionKind.END_JOB:
                self.change_job(action.name, ending=True)
            case ActionKind.RELEASE_JOB:
                self.change_job(action.name, held=False)
            case ActionKind.DELETE_JOB:
                self.delete_job(action.name, foreground=True)

    def change_pod(self, name: str, **change: Any) -> None:
        if name in self.pods:
            self.pods[name] = replace(self.pods[name], **change)

    def change_job(self, name: str, **change: Any) -> None:
        self.jobs[name] = replace(self.jobs[name], **change)

    def delete_job(self, name: str, foreground: bool) -> None:
        before = self.jobs[name]
        since = before.deleted_at or at(self.second)
        foreground = foreground or before.foreground
        self.change_job(name, deleting=True, deleted_at=since, foreground=foreground)

    @precondition(lambda self: self.jobs)
    @rule(data=st.data(), foreground=st.booleans())
    def somebody_deletes_a_job(self, data: st.DataObject, foreground: bool) -> None:
        self.delete_job(data.draw(st.sampled_from(sorted(self.jobs))), foreground)

    @rule(looks=st.integers(1, 3))
    def job_controller_looks(self, looks: int) -> None:
        for _ in range(looks):
            self.control()

    def control(self) -> None:
        for name, job in list(self.jobs.items()):
            attempt = int(name.rsplit("-", 1)[1])
            pods = [one for one in self.pods.values() if one.attempt == attempt]
            live = [one for one in pods if one.live]
            failed = [one for one in pods if one.phase == "Failed"]
            if job.deleting:
                self.collect(job, pods)
            elif job.ended:
                continue
            elif job.suspended:
                self.stop(live)
            elif job.failing or job.ending or any(one.disruption for one in failed):
                self.stop(live)
                policy = any(one.disruption for one in failed)
                why = job.reason or ("PodFailurePolicy" if policy else "DeadlineExceeded")
                self.change_job(
                    name, failing=True, failed=not live, reason=why, ended_at=at(self.second)
                )
            elif failed and len(pods) == NODES and not live:
                self.change_job(name, failed=True, reason="FailedIndexes", ended_at=at(self.second))
            elif len(pods) < NODES:
                rank = len(pods)
                view = pod(rank, attempt=attempt, name=f"{name}-{rank}", job_uid=name)
                self.pods[view.name] = view
            elif all(one.phase == "Succeeded" for one in pods):
                self.jobs[name] = replace(job, complete=True, ended_at=at(self.second))

    def collect(self, job: JobView, pods: list[PodView]) -> None:
        """What the garbage collector does about a deleted Job, which a finalizer may keep."""
        if job.foreground or not job.held:
            self.stop([one for one in pods if one.live])
            for one in pods:
                if not one.live:
                    del self.pods[one.name]
            job = replace(job, foreground=any(one.live for one in pods))
            self.jobs[job.name] = job
        if not job.held and not job.foreground:
            del self.jobs[job.name]

    def stop(self, pods: list[PodView]) -> None:
        for one in pods:
            since = one.deleted_at or at(self.second)
            self.pods[one.name] = replace(one, deleting=True, deleted_at=since)

    @precondition(lambda self: any(one.suspended for one in self.jobs.values()))
    @rule()
    def queue_admits(self) -> None:
        self.jobs = {name: replace(job, suspended=False) for name, job in self.jobs.items()}

    @precondition(lambda self: any(one.live for one in self.pods.values()))
    @rule(data=st.data(), code=st.sampled_from([0, 0, 1, 137, 139]), disrupted=st.booleans())
    def kubelet_ends_a_pod(self, data: st.DataObject, code: int, disrupted: bool) -> None:
        live = sorted(name for name, one in self.pods.items() if one.live)
        self.end(self.pods[data.draw(st.sampled_from(live))], code, disrupted)

    @rule()
    def kubelets_end_what_is_to_end(self) -> None:
        for one in list(self.pods.values()):
            if one.live and (one.deleting or one.ending):
                self.end(one, 143, disrupted=False)

    @rule(
        code=st.sampled_from([0, 1, 139]),
        disrupted=st.booleans(),
        tidy=st.booleans(),
        seconds=st.integers(10, 20),
    )
    def an_attempt_ends(self, code: int, disrupted: bool, tidy: bool, seconds: int) -> None:
        """A short cut to what takes many steps, so that several attempts are reached."""
        self.look(stale=False)
        self.control()
        self.control()
        for one in [one for one in self.pods.values() if one.live][: 1 if code else NODES]:
            self.end(one, code, disrupted)
        self.control()
        self.look(stale=False)
        if tidy:
            self.kubelets_end_what_is_to_end()
            self.control()
        self.second += seconds
        self.look(stale=False)

    def end(self, one: PodView, code: int, disrupted: bool) -> None:
        code = 143 if one.deleting or one.ending or disrupted else code
        end = ContainerEnd(code, "Error", "", at(self.second))
        self.pods[one.name] = replace(
            one,
            phase="Failed" if code else "Succeeded",
            started_at=one.started_at or at(self.second),
            end=end,
            disruption="EvictionByEvictionAPI" if disrupted else "",
            disrupted_at=at(self.second) if disrupted else None,
        )

    @precondition(lambda self: any(one.phase == "Pending" for one in self.pods.values()))
    @rule()
    def kubelet_starts_the_pods(self) -> None:
        for name, one in self.pods.items():
            if one.phase == "Pending" and not one.deleting:
                self.pods[name] = replace(one, phase="Running", started_at=at(self.second))

    @invariant()
    def one_live_attempt_at_most(self) -> None:
        assert len({one.attempt for one in self.pods.values() if one.live}) <= 1

    @invariant()
    def terminal_never_reverses(self) -> None:
        state = self.job.status.state
        assert self.ended is None or state == self.ended
        self.ended = state if state in ENDED else None

    @invariant()
    def failures_are_charged_once_and_within_the_limit(self) -> None:
        limit = self.spec.get("backoffLimit", 0)
        status = self.job.status
        failed = [one for one in status.attempts if one.outcome == Outcome.FAILED]
        assert (status.failed_attempts or 0) <= limit
        assert len(failed) <= limit + 1

    @invariant()
    def no_pod_lives_after_a_terminal_state(self) -> None:
        if self.job.status.state in (State.FAILED, State.STOPPED):
            assert not any(one.live for one in self.pods.values())

    @invariant()
    def each_second_is_counted_once(self) -> None:
        status = self.job.status
        sums = as_of(self.job, at(self.second))
        if sums is None:
            return
        reported = sums.queued_seconds + sums.starting_seconds
        reported += sums.productive_seconds + sums.lost_seconds
        end = status.completion_time if status.state in ENDED else at(self.second)
        assert reported == ((end or at(self.second)) - START).total_seconds()

    @invariant()
    def only_an_owner_stops_a_job(self) -> None:
        if self.job.status.state == State.STOPPED:
            assert (self.spec["stop"], self.run) == (True, RunStatus.KILLED)

    @invariant()
    def the_run_says_what_the_state_says(self) -> None:
        if self.run == RunStatus.RUNNING:
            assert self.job.status.running_time is not None


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=100, stateful_step_count=60)
