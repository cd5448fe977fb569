"""Builder of the pods of an attempt: one container for the training, and what it needs."""

from pathlib import PurePosixPath
from typing import Any

from trainingjob_operator.api import TrainingJob, TrainingJobSpec
from trainingjob_operator.api.rules import (
    CHECKPOINT_VOLUME,
    SHARED_MEMORY_PATH,
    SHARED_MEMORY_VOLUME,
    TOKEN_VOLUME,
)
from trainingjob_operator.core import contract, environment, hardening, names
from trainingjob_operator.core.hardening import PodDefaults
from trainingjob_operator.core.intent import RunIdentity
from trainingjob_operator.core.tracking_uris import PodToken, Tracking

Manifest = dict[str, Any]


def pod_spec(
    job: TrainingJob,
    attempt: int,
    run: RunIdentity | None,
    tracking: Tracking,
    defaults: PodDefaults,
) -> Manifest:
    """The core/v1 PodSpec of one attempt, as it is without the template of a runtime."""
    spec, security = job.spec, hardening.pod_security_context(job.spec, defaults)
    return {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": spec.termination_grace_period_seconds,
        "enableServiceLinks": False,
        # A training pod calls the API server only if its author gave it an account to do so.
        "automountServiceAccountToken": spec.service_account_name is not None,
        "securityContext": security,
        "containers": [_container(job, attempt, run, tracking, security)],
        **optional(
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
            optional(readOnlyRootFilesystem=spec.read_only_root_filesystem)
        ),
        **optional(
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
    claim = claim_name(job)
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
        **optional(audience=token.audience),
    }
    return {"sources": [{"serviceAccountToken": source}, {"downwardAPI": {"items": [namespace]}}]}


def claim_name(job: TrainingJob) -> str | None:
    """The claim of the checkpoints; None where they are in a volume of the job, or nowhere."""
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


def optional(**fields: Any) -> Manifest:
    """Those of the fields that have a value."""
    return {name: value for name, value in fields.items() if value}
