"""What a job chooses about its pods within the restricted Pod Security Standard."""

from typing import Any

import pytest
from trainingjob_operator.core import manifests
from trainingjob_operator.core.hardening import DEFAULTS, PodDefaults
from trainingjob_operator.core.tracking_uris import Tracking

from tests.support.jobs import RUN, SELECTOR, training_job

HARDENED: dict[str, Any] = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
LAST_LINES: dict[str, Any] = {"terminationMessagePolicy": "FallbackToLogsOnError"}
TMP = "/tmp"  # noqa: S108 - the pod's


def pod(spec: dict[str, Any], defaults: PodDefaults = DEFAULTS) -> dict[str, Any]:
    child = manifests.child_job(
        training_job(spec), 1, RUN, Tracking("http://mlflow:5000"), defaults
    )
    found: dict[str, Any] = child["spec"]["template"]["spec"]
    return found


def environment(spec: dict[str, Any], *names: str) -> list[tuple[str, str]]:
    [container] = pod(spec)["containers"]
    return [(one["name"], one["value"]) for one in container["env"] if one["name"] in names]


FIXED = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
VOLUMES = {"fsGroup": 65532, "fsGroupChangePolicy": "OnRootMismatch"}
OPENSHIFT = PodDefaults({})
USERS: list[Any] = [
    pytest.param(None, DEFAULTS, VOLUMES, id="default"),
    pytest.param(None, OPENSHIFT, {}, id="a-platform-that-chooses-ids"),
    pytest.param(None, PodDefaults({"runAsUser": 1000}), {"runAsUser": 1000}, id="its-own-user"),
    pytest.param({"runAsUser": 7}, DEFAULTS, {"runAsUser": 7}, id="a-user-and-no-volumes"),
    pytest.param({}, DEFAULTS, {}, id="nothing"),
    pytest.param(
        {
            "runAsUser": 1000,
            "runAsGroup": 0,
            "fsGroup": 0,
            "fsGroupChangePolicy": "Always",
            "supplementalGroups": [2000, 3000],
        },
        DEFAULTS,
        {
            "runAsUser": 1000,
            "runAsGroup": 0,
            "fsGroup": 0,
            "fsGroupChangePolicy": "Always",
            "supplementalGroups": [2000, 3000],
        },
        id="all",
    ),
    pytest.param({"fsGroup": None}, DEFAULTS, {}, id="no-fs-group"),
    pytest.param(
        {
            "runAsNonRoot": False,
            "seccompProfile": {"type": "Unconfined"},
            "seLinuxOptions": {"type": "spc_t"},
            "sysctls": [{"name": "kernel.msgmax", "value": "1"}],
            "windowsOptions": {"hostProcess": True},
        },
        DEFAULTS,
        {},
        id="nothing-else-though-nobody-validated",
    ),
]


@pytest.mark.parametrize(("chosen", "defaults", "expected"), USERS)
def test_users_and_groups(
    chosen: dict[str, Any] | None, defaults: PodDefaults, expected: dict[str, Any]
) -> None:
    spec = {} if chosen is None else {"securityContext": chosen}
    assert pod(spec, defaults)["securityContext"] == {**expected, **FIXED}


HOMES: list[Any] = [
    pytest.param({}, [], id="that-of-the-image"),
    pytest.param(
        {"securityContext": {"runAsUser": 1000}},
        [("HOME", TMP), ("USER", "trainer")],
        id="of-a-user-whom-the-image-does-not-know",
    ),
    pytest.param({"readOnlyRootFilesystem": True}, [("HOME", TMP)], id="of-a-read-only-root"),
    pytest.param(
        {
            "securityContext": {"runAsUser": 1000},
            "env": [{"name": "HOME", "value": "/home/ann"}, {"name": "USER", "value": "ann"}],
        },
        [("HOME", "/home/ann"), ("USER", "ann")],
        id="as-the-job-says",
    ),
]


@pytest.mark.parametrize(("spec", "expected"), HOMES)
def test_a_home_that_can_be_written_to(
    spec: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    assert environment(spec, "HOME", "USER") == expected


def test_a_read_only_root_leaves_a_place_for_temporary_files() -> None:
    made = pod({"readOnlyRootFilesystem": True})
    [container] = made["containers"]
    assert container["securityContext"] == {"readOnlyRootFilesystem": True, **HARDENED}
    assert container["volumeMounts"] == [{"name": "trainingjob-tmp", "mountPath": TMP}]
    assert made["volumes"] == [{"name": "trainingjob-tmp", "emptyDir": {}}]


def test_temporary_files_in_a_volume_of_the_jobs_choice() -> None:
    volume = {"name": "scratch", "emptyDir": {"medium": "Memory"}}
    mount = {"name": "scratch", "mountPath": f"{TMP}/"}
    made = pod({"readOnlyRootFilesystem": True, "volumes": [volume], "volumeMounts": [mount]})
    assert made["containers"][0]["volumeMounts"] == [mount]
    assert made["volumes"] == [volume]


def test_init_containers_and_sidecars_are_hardened_as_the_trainer_is() -> None:
    made = pod(
        {
            "volumes": [{"name": "data", "emptyDir": {}}],
            "resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "gpu"}],
            "initContainers": [
                {
                    "name": "fetch",
                    "image": "fetch:1",
                    "imagePullPolicy": "Always",
                    "command": ["fetch"],
                    "args": ["s3://bucket/data"],
                    "workingDir": "/data",
                    "env": [{"name": "TOKEN", "value": "x"}],
                    "envFrom": [{"secretRef": {"name": "s3"}}],
                    "resources": {"limits": {"memory": "1Gi"}, "claims": [{"name": "gpu"}]},
                    "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                    "securityContext": {
                        "runAsUser": 1000,
                        "runAsGroup": 0,
                        "readOnlyRootFilesystem": True,
                        "allowPrivilegeEscalation": True,
                        "capabilities": {"add": ["SYS_ADMIN"]},
                        "privileged": True,
                        "procMount": "Unmasked",
                        "runAsNonRoot": False,
                    },
                    "lifecycle": {"postStart": {"exec": {"command": ["sh"]}}},
                    "ports": [{"containerPort": 80, "hostPort": 80}],
                    "restartPolicy": "Always",
                    "volumeDevices": [{"name": "data", "devicePath": "/dev/sda"}],
                }
            ],
            "sidecars": [
                {
                    "name": "mesh",
                    "image": "mesh:1",
                    "startupProbe": {"httpGet": {"port": 15020, "path": "/ready"}},
                }
            ],
        }
    )
    choices: dict[str, Any] = {"runAsUser": 1000, "runAsGroup": 0, "readOnlyRootFilesystem": True}
    expected: list[dict[str, Any]] = [
        {
            "name": "mesh",
            "image": "mesh:1",
            "startupProbe": {"httpGet": {"port": 15020, "path": "/ready"}},
            "restartPolicy": "Always",
            "securityContext": HARDENED,
            **LAST_LINES,
        },
        {
            "name": "fetch",
            "image": "fetch:1",
            "imagePullPolicy": "Always",
            "command": ["fetch"],
            "args": ["s3://bucket/data"],
            "workingDir": "/data",
            "env": [{"name": "TOKEN", "value": "x"}],
            "envFrom": [{"secretRef": {"name": "s3"}}],
            "resources": {"limits": {"memory": "1Gi"}, "claims": [{"name": "gpu"}]},
            "volumeMounts": [{"name": "data", "mountPath": "/data"}],
            "securityContext": {**choices, **HARDENED},
            **LAST_LINES,
        },
    ]
    assert made["initContainers"] == expected
    assert made["resourceClaims"] == [{"name": "gpu", "resourceClaimTemplateName": "gpu"}]


def test_claims_of_devices_are_no_gpus_to_count() -> None:
    spec = {
        "resourceClaims": [{"name": "gpu", "resourceClaimName": "shared"}],
        "resourcesPerNode": {"claims": [{"name": "gpu", "request": "one"}]},
        "numProcPerNode": 2,
    }
    [container] = pod(spec)["containers"]
    assert container["resources"] == {"claims": [{"name": "gpu", "request": "one"}]}
    assert environment(spec, "PET_NPROC_PER_NODE") == [("PET_NPROC_PER_NODE", "2")]


def test_where_and_in_which_network_the_pods_are() -> None:
    zone: dict[str, Any] = {
        "topologyKey": "topology.kubernetes.io/zone",
        "whenUnsatisfiable": "DoNotSchedule",
        "maxSkew": 1,
    }
    others = {**zone, "labelSelector": {"matchLabels": {"team": "vision"}}}
    dns = {"nameservers": ["10.0.0.53"], "searches": ["example.com"]}
    aliases = [{"ip": "10.0.0.7", "hostnames": ["nfs"]}]
    made = pod(
        {
            "topologySpreadConstraints": [zone, others],
            "dnsPolicy": "None",
            "dnsConfig": dns,
            "hostAliases": aliases,
        }
    )
    own = {"matchLabels": {**SELECTOR, "trainingjob.dev/attempt": "1"}}
    assert made["topologySpreadConstraints"] == [{**zone, "labelSelector": own}, others]
    assert (made["dnsPolicy"], made["dnsConfig"], made["hostAliases"]) == ("None", dns, aliases)


def test_labels_and_annotations_of_the_job_only() -> None:
    spec = {"jobLabels": {"helm.sh/chart": "x"}, "jobAnnotations": {"note": "y"}}
    child = manifests.child_job(training_job(spec), 1, RUN, Tracking("http://mlflow:5000"))
    labels = {**SELECTOR, "trainingjob.dev/attempt": "1"}
    assert child["metadata"]["labels"] == {"helm.sh/chart": "x", **labels}
    assert child["metadata"]["annotations"]["note"] == "y"
    assert child["spec"]["template"]["metadata"] == {"labels": labels}
