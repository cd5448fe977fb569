"""Builders of the objects that the operator creates, each one literal."""

from pathlib import PurePosixPath
from typing import Any

from trainingjob_operator.api import KIND, ClaimRetention, TrainingJob, TrainingJobSpec
from trainingjob_operator.api.rules import (
    CHECKPOINT_VOLUME,
    SHARED_MEMORY_PATH,
    SHARED_MEMORY_VOLUME,
    TOKEN_VOLUME,
)
from trainingjob_operator.core import (
    contract,
    environment,
    hardening,
    inherited,
    names,
    owner_record,
    resolution,
)
from trainingjob_operator.core.hardening import DEFAULTS, PodDefaults
from trainingjob_operator.core.intent import RunIdentity
from trainingjob_operator.core.tracking_uris import PodToken, Tracking

Manifest = dict[str, Any]

# A disrupted attempt is over at once, and the Job's condition keeps that a disruption was the cause
# when the pod is gone.
DISRUPTED = {
    "action": "FailJob",
    "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
}


def child_job(
    job: TrainingJob,
    attempt: int,
    run: RunIdentity | None,
    tracking: Tracking,
    defaults: PodDefaults = DEFAULTS,
) -> Manifest:
    """The batch/v1 Indexed Job of one attempt.

    backoffLimitPerIndex is 0 and restartPolicy Never: no rank is started again. Kubernetes counts
    the pods of an attempt, the operator decides on attempts, and ends the other ranks of one that
    failed: the Job controller would delete them, and their logs with them, and would do so even
    where only a sidecar failed. podReplacementPolicy Failed: no two pods of one rank at a time.
    """
    metadata, queue = job.metadata, inherited.queue(job)
    pod = _pod_spec(job, attempt, run, tracking, defaults)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": names.child_job(metadata.name, attempt),
            "namespace": metadata.namespace,
            "labels": {
                **inherited.by_job(metadata.labels),
                **job.spec.job_labels,
                **names.labels(metadata.name, metadata.uid, attempt),
                **_optional(**{contract.LABEL_QUEUE: queue}),
            },
            "annotations": {
                **inherited.by_job(metadata.annotations),
                **job.spec.job_annotations,
                **owner_record.annotations(job, tracking),
            },
            "ownerReferences": [_owner_reference(job)],
            # A Job that is deleted meanwhile, alone or with its TrainingJob, stays until the end of
            # its attempt is stored and set in MLflow.
            "finalizers": [contract.ATTEMPT_FINALIZER],
        },
        "spec": {
            # The queue admits the Job by ending its suspension.
            **_optional(suspend=queue is not None),
            "completionMode": "Indexed",
            "completions": job.spec.num_nodes,
            "parallelism": job.spec.num_nodes,
            "backoffLimitPerIndex": 0,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {"rules": [DISRUPTED]},
            "template": {
                "metadata": {
                    "labels": {
                        **inherited.by_pods(metadata.labels),
                        **job.spec.pod_labels,
                        **names.labels(metadata.name, metadata.uid, attempt),
                    },
                    **_optional(
                        annotations={
                            **inherited.by_pods(metadata.annotations),
                            **job.spec.pod_annotations,
                        }
                    ),
                },
                "spec": resolution.under_template(job, pod),
            },
        },
    }


def headless_service(job: TrainingJob) -> Manifest:
    """The Service that gives the pods of a multi-node job their DNS names.

    Addresses are published before readiness: the ranks look for each other while they start.
    """
    metadata = job.metadata
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": metadata.name,
            "namespace": metadata.namespace,
            "labels": names.service_selector(metadata.name, metadata.uid),
            "ownerReferences": [_owner_reference(job)],
        },
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": names.service_selector(metadata.name, metadata.uid),
            "ports": [{"name": "master", "port": contract.MASTER_PORT}],
        },
    }


def checkpoint_claim(job: TrainingJob) -> Manifest | None:
    """The PersistentVolumeClaim of spec.checkpoint.claimTemplate; None without one.

    Without an owner it stays when the job is deleted, as one does that the job names: another
    TrainingJob may go on with its checkpoints.
    """
    checkpoint, metadata = job.spec.checkpoint, job.metadata
    if checkpoint is None or checkpoint.claim_template is None:
        return None
    named = checkpoint.claim_name is not None
    retention = checkpoint.claim_retention
    kept = retention == ClaimRetention.KEEP or (named and retention is None)
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": _claim_name(job),
            "namespace": metadata.namespace,
            "labels": names.service_selector(metadata.name, metadata.uid),
            **_optional(ownerReferences=[] if kept else [_owner_reference(job)]),
        },
        "spec": checkpoint.claim_template,
    }


def _owner_reference(job: TrainingJob) -> Manifest:
    return {
        "apiVersion": contract.API_VERSION,
        "kind": KIND,
        "name": job.metadata.name,
        "uid": job.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _pod_spec(
    job: TrainingJob,
    attempt: int,
    run: RunIdentity | None,
    tracking: Tracking,
    defaults: PodDefaults,
) -> Manifest:
    spec, security = job.spec, hardening.pod_security_context(job.spec, defaults)
    return {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": spec.termination_grace_period_seconds,
        "enableServiceLinks": False,
        # A training pod calls the API server only if its author gave it an account to do so.
        "automountServiceAccountToken": spec.service_account_name is not None,
        "securityContext": security,
        "containers": [_container(job, attempt, run, tracking, security)],
        **_optional(
            subdomain=job.metadata.name if spec.num_nodes > 1 else None,
            initContainers=hardening.init_containers(spec),
            volumes=_volumes(job, tracking),
            nodeSelector=spec.node_selector,
            tolerations=spec.tolerations,
            affinity=spec.affinity,
            topologySpreadConstraints=_spread(job, attempt),
            priorityClassName=spec.priority_class_name,
            schedulerName=spec.scheduler_name,
            runtimeClassName=spec.runtime_class_name,
            serviceAccountName=spec.service_account_name,
            imagePullSecrets=spec.image_pull_secrets,
            resourceClaims=spec.resource_claims,
            dnsPolicy=spec.dns_policy,
            dnsConfig=spec.dns_config,
            hostAliases=spec.host_aliases,
        ),
    }


def _spread(job: TrainingJob, attempt: int) -> list[Manifest]:
    """The constraints; one without a selector would count no pod at all."""
    labels = names.labels(job.metadata.name, job.metadata.uid, attempt)
    selector = {"labelSelector": {"matchLabels": labels}}
    return [{**selector, **one} for one in job.spec.topology_spread_constraints]


def _container(
    job: TrainingJob,
    attempt: int,
    run: RunIdentity | None,
    tracking: Tracking,
    security: Manifest,
) -> Manifest:
    spec = job.spec
    port = {"name": contract.METRICS_PORT_NAME, "containerPort": spec.monitoring.port}
    return {
        "name": contract.CONTAINER_NAME,
        "image": spec.image,
        # The user's variables first: a reference like $(NAME) resolves only backwards, and the
        # contract's variables win where the API server's validation was off.
        "env": [
            *environment.home(spec, security),
            *spec.env,
            *environment.contract_env(job, attempt, run, tracking),
        ],
        # A script that writes no termination message leaves its last log lines as the cause.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": hardening.security_context(
            _optional(readOnlyRootFilesystem=spec.read_only_root_filesystem)
        ),
        **_optional(
            ports=[port] if spec.monitoring.enabled else [],
            imagePullPolicy=spec.image_pull_policy,
            command=spec.command,
            args=spec.args,
            workingDir=spec.working_dir,
            envFrom=spec.env_from,
            resources=spec.resources_per_node,
            volumeMounts=_volume_mounts(spec, tracking),
        ),
    }


def _volumes(job: TrainingJob, tracking: Tracking) -> list[Manifest]:
    volumes = [*job.spec.volumes]
    claim = _claim_name(job)
    if claim is not None:
        source = {"persistentVolumeClaim": {"claimName": claim}}
        volumes.append({"name": CHECKPOINT_VOLUME, **source})
    if job.spec.shared_memory is not None:
        memory = {"medium": "Memory", "sizeLimit": job.spec.shared_memory}
        volumes.append({"name": SHARED_MEMORY_VOLUME, "emptyDir": memory})
    volumes += hardening.temporary_volume(job.spec)
    if tracking.token is not None:
        volumes.append({"name": TOKEN_VOLUME, "projected": _projection(tracking.token)})
    return volumes


def _projection(token: PodToken) -> Manifest:
    """The token, which the kubelet renews, beside the namespace as MLflow's own login reads it."""
    namespace = {"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}
    source = {
        "path": "token",
        "expirationSeconds": token.expiration_seconds,
        **_optional(audience=token.audience),
    }
    return {"sources": [{"serviceAccountToken": source}, {"downwardAPI": {"items": [namespace]}}]}


def _claim_name(job: TrainingJob) -> str | None:
    checkpoint = job.spec.checkpoint
    if checkpoint is None or checkpoint.volume is not None:
        return None
    return checkpoint.claim_name or names.checkpoint_claim(job.metadata.name, job.metadata.uid)


def _volume_mounts(spec: TrainingJobSpec, tracking: Tracking) -> list[Manifest]:
    mounts = [*spec.volume_mounts, *_checkpoint_mount(spec)]
    if spec.shared_memory is not None:
        mounts.append({"name": SHARED_MEMORY_VOLUME, "mountPath": SHARED_MEMORY_PATH})
    mounts += hardening.temporary_mount(spec)
    if tracking.token is not None:
        path = environment.token_directory(spec)
        mounts.append({"name": TOKEN_VOLUME, "mountPath": path, "readOnly": True})
    return mounts


def _checkpoint_mount(spec: TrainingJobSpec) -> list[Manifest]:
    """The mount of the checkpoints, where the user's own mounts do not hold the path already."""
    if spec.checkpoint is None:
        return []
    volume, path = spec.checkpoint.volume or CHECKPOINT_VOLUME, PurePosixPath(spec.checkpoint.path)
    for mount in spec.volume_mounts:
        if mount["name"] == volume and path.is_relative_to(mount["mountPath"]):
            return []
    return [{"name": volume, "mountPath": spec.checkpoint.path}]


def _optional(**fields: Any) -> Manifest:
    return {name: value for name, value in fields.items() if value}
