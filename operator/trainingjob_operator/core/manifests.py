"""Builders of the objects that the operator creates."""

from typing import Any

from trainingjob_operator.api import KIND, ClaimRetention, TrainingJob
from trainingjob_operator.core import contract, inherited, names, owner_record, resolution
from trainingjob_operator.core.hardening import DEFAULTS, PodDefaults
from trainingjob_operator.core.intent import RunIdentity
from trainingjob_operator.core.pod import claim_name, optional, pod_spec
from trainingjob_operator.core.tracking_uris import Tracking

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
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": _job_metadata(job, attempt, tracking),
        "spec": {
            # The queue admits the Job by ending its suspension.
            **optional(suspend=inherited.queue(job) is not None),
            "completionMode": "Indexed",
            "completions": job.spec.num_nodes,
            "parallelism": job.spec.num_nodes,
            "backoffLimitPerIndex": 0,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {"rules": [DISRUPTED]},
            "template": {
                "metadata": _pod_metadata(job, attempt),
                "spec": resolution.under_template(
                    job, pod_spec(job, attempt, run, tracking, defaults)
                ),
            },
        },
    }


def _job_metadata(job: TrainingJob, attempt: int, tracking: Tracking) -> Manifest:
    metadata = job.metadata
    return {
        "name": names.child_job(metadata.name, attempt),
        "namespace": metadata.namespace,
        "labels": {
            **inherited.by_job(metadata.labels),
            **job.spec.job_labels,
            **names.labels(metadata.name, metadata.uid, attempt),
            **optional(**{contract.LABEL_QUEUE: inherited.queue(job)}),
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
    }


def _pod_metadata(job: TrainingJob, attempt: int) -> Manifest:
    metadata = job.metadata
    annotations = {**inherited.by_pods(metadata.annotations), **job.spec.pod_annotations}
    return {
        "labels": {
            **inherited.by_pods(metadata.labels),
            **job.spec.pod_labels,
            **names.labels(metadata.name, metadata.uid, attempt),
        },
        **optional(annotations=annotations),
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
            "name": claim_name(job),
            "namespace": metadata.namespace,
            "labels": names.service_selector(metadata.name, metadata.uid),
            **optional(ownerReferences=[] if kept else [_owner_reference(job)]),
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
