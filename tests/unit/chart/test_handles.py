"""What platform teams change of the operator's pods, and the whole objects that follow."""

import json
from collections.abc import Callable
from typing import Any

import pytest

Objects = dict[tuple[str, str], dict[str, Any]]
Render = Callable[..., Objects]

NAME = "trainingjob-operator"
SPREAD = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
TEST_SELECTOR = {"app.kubernetes.io/name": f"{NAME}-test", "app.kubernetes.io/instance": NAME}
SELECTOR = {"app.kubernetes.io/name": NAME, "app.kubernetes.io/instance": NAME}


def pod(objects: Objects, name: str = NAME) -> dict[str, Any]:
    found: dict[str, Any] = objects["Deployment", name]["spec"]["template"]["spec"]
    return found


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('priorityClassName="system"', {"priorityClassName": "system"}),
        ("terminationGracePeriodSeconds=60", {"terminationGracePeriodSeconds": 60}),
        ("hostUsers=false", {"hostUsers": False}),
        (
            'hostAliases=[{"ip":"10.0.0.5","hostnames":["mlflow.lan"]}]',
            {"hostAliases": [{"ip": "10.0.0.5", "hostnames": ["mlflow.lan"]}]},
        ),
        ('dnsPolicy="None"', {"dnsPolicy": "None"}),
        (
            'dnsConfig={"nameservers":["10.0.0.53"],"options":[{"name":"ndots","value":"2"}]}',
            {
                "dnsConfig": {
                    "nameservers": ["10.0.0.53"],
                    "options": [{"name": "ndots", "value": "2"}],
                }
            },
        ),
        ('nodeSelector={"pool":"system"}', {"nodeSelector": {"pool": "system"}}),
        ('tolerations=[{"operator":"Exists"}]', {"tolerations": [{"operator": "Exists"}]}),
        (
            f"topologySpreadConstraints=[{json.dumps(SPREAD)}]",
            {"topologySpreadConstraints": [{**SPREAD, "labelSelector": {"matchLabels": SELECTOR}}]},
        ),
        (
            f"topologySpreadConstraints=[{json.dumps({**SPREAD, 'labelSelector': {}})}]",
            {"topologySpreadConstraints": [{**SPREAD, "labelSelector": {}}]},
        ),
        (
            'extraVolumes=[{"name":"ca","configMap":{"name":"ca"}}]',
            {
                "volumes": [
                    {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}},
                    {"name": "ca", "configMap": {"name": "ca"}},
                ]
            },
        ),
        ('imagePullSecrets=[{"name":"a"}]', {"imagePullSecrets": [{"name": "a"}]}),
        (
            'global.imagePullSecrets=["a",{"name":"b"},{"name":"a"}]',
            {"imagePullSecrets": [{"name": "a"}, {"name": "b"}]},
        ),
    ],
)
def test_what_a_value_changes_of_the_pod(
    render: Render, value: str, expected: dict[str, Any]
) -> None:
    assert pod(render(value)) == {**pod(render()), **expected}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (
            'envFrom=[{"secretRef":{"name":"proxy"}}]',
            {"envFrom": [{"secretRef": {"name": "proxy"}}]},
        ),
        (
            'extraVolumeMounts=[{"name":"ca","mountPath":"/ca"}]',
            {
                "volumeMounts": [
                    {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - in the pod
                    {"name": "ca", "mountPath": "/ca"},
                ]
            },
        ),
        (
            'probes.startup={"initialDelaySeconds":5}',
            {
                "startupProbe": {
                    "httpGet": {"path": "/healthz", "port": "http"},
                    "initialDelaySeconds": 5,
                    "periodSeconds": 1,
                    "failureThreshold": 60,
                }
            },
        ),
        ('image.pullPolicy="Always"', {"imagePullPolicy": "Always"}),
        (
            'containerSecurityContext={"readOnlyRootFilesystem":false,"capabilities":null}',
            {
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": False,
                }
            },
        ),
        (
            'lifecycle={"preStop":{"sleep":{"seconds":5}}}',
            {"lifecycle": {"preStop": {"sleep": {"seconds": 5}}}},
        ),
    ],
)
def test_what_a_value_changes_of_the_container(
    render: Render, value: str, expected: dict[str, Any]
) -> None:
    [container] = pod(render(value))["containers"]
    assert container == {**pod(render())["containers"][0], **expected}


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        ('deploymentAnnotations={"a":"1"}', "Deployment", {"annotations": {"a": "1"}}),
        ('service.annotations={"a":"1"}', "Service", {"annotations": {"a": "1"}}),
        ('service.labels={"a":"1"}', "Service", {"labels": {"a": "1"}}),
        ('serviceAccount.annotations={"a":"1"}', "ServiceAccount", {"annotations": {"a": "1"}}),
        ('serviceAccount.labels={"a":"1"}', "ServiceAccount", {"labels": {"a": "1"}}),
    ],
)
def test_labels_and_annotations_of_one_object(
    render: Render, value: str, kind: str, expected: dict[str, dict[str, str]]
) -> None:
    plain, changed = render(), render(value)
    added = {
        part: {**plain[kind, NAME]["metadata"].get(part, {}), **pairs}
        for part, pairs in expected.items()
    }
    metadata = {**plain[kind, NAME]["metadata"], **added}
    assert changed == {**plain, (kind, NAME): {**plain[kind, NAME], "metadata": metadata}}


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        ("revisionHistoryLimit=0", "Deployment", {"revisionHistoryLimit": 0}),
        (
            'service={"ipFamilyPolicy":"PreferDualStack","ipFamilies":["IPv6","IPv4"]}',
            "Service",
            {"ipFamilyPolicy": "PreferDualStack", "ipFamilies": ["IPv6", "IPv4"]},
        ),
    ],
)
def test_what_a_value_changes_of_an_object(
    render: Render, value: str, kind: str, expected: dict[str, Any]
) -> None:
    spec = render(value)[kind, NAME]["spec"]
    assert spec == {**render()[kind, NAME]["spec"], **expected}


def test_all_containers_have_the_same_security_context(render: Render) -> None:
    own = {"runAsNonRoot": True}
    none = '"allowPrivilegeEscalation":null,"readOnlyRootFilesystem":null,"capabilities":null'
    objects = render(
        "mlflow.demo.enabled=true", f'containerSecurityContext={{"runAsNonRoot":true,{none}}}'
    )
    pods = [pod(objects), pod(objects, "mlflow"), objects["Pod", f"{NAME}-test"]["spec"]]
    assert [one["containers"][0]["securityContext"] for one in pods] == [own, own, own]


@pytest.mark.parametrize("watched", [[], ["team-a"]])
def test_without_rbac_an_administrator_gives_the_rights(render: Render, watched: list[str]) -> None:
    names = f"watchNamespaces={json.dumps(watched)}"
    given, left = render(names), render(names, "rbac.create=false")
    roles = {"ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"}
    assert left == {key: one for key, one in given.items() if key[0] not in roles}


def test_affinity_takes_the_place_of_the_spread_of_replicas(render: Render) -> None:
    found = pod(render("replicas=2", 'affinity={"nodeAffinity":{}}'))
    assert found["affinity"] == {"nodeAffinity": {}}
    assert "topologySpreadConstraints" not in found


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('strategy.type="Recreate"', {"type": "Recreate"}),
        (
            'strategy.rollingUpdate={"maxSurge":"50%"}',
            {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "50%", "maxUnavailable": 0}},
        ),
    ],
)
def test_strategy(render: Render, value: str, expected: dict[str, Any]) -> None:
    assert render(value)["Deployment", NAME]["spec"]["strategy"] == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((), {"minAvailable": 1}),
        (('podDisruptionBudget.minAvailable="50%"',), {"minAvailable": "50%"}),
        (("podDisruptionBudget.maxUnavailable=0",), {"maxUnavailable": 0}),
        (
            ('podDisruptionBudget.unhealthyPodEvictionPolicy="AlwaysAllow"',),
            {"minAvailable": 1, "unhealthyPodEvictionPolicy": "AlwaysAllow"},
        ),
    ],
)
def test_disruption_budget(
    render: Render, values: tuple[str, ...], expected: dict[str, Any]
) -> None:
    budget = render("replicas=2", *values)["PodDisruptionBudget", NAME]
    assert budget["spec"] == {**expected, "selector": {"matchLabels": SELECTOR}}


def test_network_policy_lets_probes_in_and_calls_of_dns_api_server_and_mlflow_out(
    render: Render,
) -> None:
    objects = render(
        "networkPolicy.enabled=true",
        'networkPolicy.ingressFrom=[{"namespaceSelector":{"matchLabels":{"name":"monitoring"}}}]',
        'networkPolicy.extraEgress=[{"ports":[{"port":3128}]}]',
        'mlflow.allowedTrackingUris=["http://a","http://b:5000"]',
        'mlflow.servers=[{"uri":"https://c:8443/mlflow"}]',
    )
    ports = [443, 6443, 80, 5000, 8443]
    assert objects["NetworkPolicy", NAME]["spec"] == {
        "podSelector": {"matchLabels": SELECTOR},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [
            {
                "ports": [{"port": "http"}],
                "from": [
                    {"namespaceSelector": {"matchLabels": {"name": "monitoring"}}},
                    {"podSelector": {"matchLabels": TEST_SELECTOR}},
                ],
            }
        ],
        "egress": [
            {
                "ports": [
                    {"port": 53, "protocol": "UDP"},
                    {"port": 53},
                    *({"port": port} for port in ports),
                ]
            },
            {"ports": [{"port": 3128}]},
        ],
    }
    assert ("NetworkPolicy", NAME) not in render()


def test_extra_objects_may_have_templates(render: Render) -> None:
    labelled = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "{{ .Release.Name }}-a"},
    }
    text = (
        "apiVersion: v1\nkind: Secret\nmetadata: {name: b, namespace: '{{ .Release.Namespace }}'}"
    )
    objects = render(f"extraObjects={json.dumps([labelled, text])}")
    assert objects["ConfigMap", f"{NAME}-a"]["metadata"] == {"name": f"{NAME}-a"}
    assert objects["Secret", "b"]["metadata"] == {"name": "b", "namespace": "ns"}
