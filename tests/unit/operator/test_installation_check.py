"""The questions of `helm test` about the operator's rights."""

import json

from trainingjob_operator.installation_check import Right, rights_of

SCOPES = [
    {
        "namespace": "team-a",
        "rules": [
            {
                "apiGroups": ["trainingjob.dev"],
                "resources": ["trainingjobs/status"],
                "verbs": ["get", "patch"],
            },
            {
                "apiGroups": ["coordination.k8s.io"],
                "resources": ["leases"],
                "resourceNames": ["trainingjobs.trainingjob.dev"],
                "verbs": ["patch"],
            },
        ],
    },
    {"namespace": "", "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]},
]


def test_each_verb_on_each_resource_is_a_right() -> None:
    assert [str(one) for one in rights_of(json.dumps(SCOPES))] == [
        "get trainingjobs.trainingjob.dev/status in team-a",
        "patch trainingjobs.trainingjob.dev/status in team-a",
        "patch leases.coordination.k8s.io trainingjobs.trainingjob.dev in team-a",
        "list pods in all namespaces",
    ]


def test_the_review_of_a_right() -> None:
    right = Right("team-a", "batch", "jobs/status", "patch", "train-1")
    assert right.review() == {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {
            "resourceAttributes": {
                "namespace": "team-a",
                "group": "batch",
                "resource": "jobs",
                "subresource": "status",
                "verb": "patch",
                "name": "train-1",
            }
        },
    }


def test_what_means_any_is_left_out_of_the_review() -> None:
    assert Right("", "", "pods", "list").review()["spec"] == {
        "resourceAttributes": {"resource": "pods", "verb": "list"}
    }
