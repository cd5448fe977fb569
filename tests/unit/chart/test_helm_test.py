"""The pod of `helm test`: it sees what the operator sees, and asks for all that it may do."""

import json
from collections.abc import Callable
from typing import Any

import pytest

Objects = dict[tuple[str, str], dict[str, Any]]
Render = Callable[..., Objects]

NAME = "trainingjob-operator"
VALUES = (
    'mlflow.existingSecret="login"',
    'extraVolumes=[{"name":"ca","configMap":{"name":"ca"}}]',
    'extraVolumeMounts=[{"name":"ca","mountPath":"/ca"}]',
    'envFrom=[{"secretRef":{"name":"proxy"}}]',
    'nodeSelector={"pool":"system"}',
)


def test_its_pod_is_the_operators_but_for_what_it_runs(render: Render) -> None:
    objects = render(*VALUES)
    pod = objects["Pod", f"{NAME}-test"]["spec"]
    operator = objects["Deployment", NAME]["spec"]["template"]["spec"]
    [tester], [container] = pod.pop("containers"), operator.pop("containers")
    assert pod == {
        **{key: value for key, value in operator.items() if key != "terminationGracePeriodSeconds"},
        "restartPolicy": "Never",
    }
    assert tester["command"][-1] == "trainingjob_operator.installation_check"
    assert tester["env"][:-2] == container["env"]
    same = ("image", "imagePullPolicy", "securityContext", "envFrom", "resources", "volumeMounts")
    assert {key: tester[key] for key in same} == {key: container[key] for key in same}


def test_no_selector_of_the_chart_finds_its_pod(render: Render) -> None:
    objects = render(*VALUES, "replicas=2")
    labels = objects["Pod", f"{NAME}-test"]["metadata"]["labels"]
    selector = objects["Service", NAME]["spec"]["selector"]
    assert not selector.items() <= labels.items()


@pytest.mark.parametrize("watched", [[], ["team-a", "team-b"]])
def test_it_asks_for_every_right_of_the_operator(render: Render, watched: list[str]) -> None:
    objects = render(f"watchNamespaces={json.dumps(watched)}")
    [tester] = objects["Pod", f"{NAME}-test"]["spec"]["containers"]
    scopes = json.loads(tester["env"][-1]["value"])
    wide = ("Role", f"{NAME}-jobs") if watched else ("ClusterRole", NAME)
    assert scopes == [
        {"namespace": "ns", "rules": objects["Role", NAME]["rules"]},
        *({"namespace": one, "rules": objects[wide]["rules"]} for one in watched or [""]),
    ]
