from localcluster.plan import Component, Health, Plan
from localcluster.status import Row, rows, table

PLAN = Plan(
    log_directory="/logs",
    health_file="/health.json",
    stopped_file="/stopped",
    stages=(
        (Component("etcd", ("etcd", "--x"), Health(url="http://h")),),
        (Component("containerd", ("containerd",), Health(socket="/s")),),
    ),
    setup=(("ip", "link"),),
    wait_for_link="eth0",
)


def test_a_plan_survives_the_file() -> None:
    assert Plan.from_json(PLAN.to_json()) == PLAN


def test_components_are_in_the_order_of_their_start() -> None:
    assert [component.name for component in PLAN.components] == ["etcd", "containerd"]


def test_status_table() -> None:
    known = {
        "ready": True,
        "components": {
            "etcd": {"pid": 7, "healthy": True, "restarts": 0, "detail": ""},
            "kubelet": {"pid": 0, "healthy": False, "restarts": 2, "detail": "ended with 1"},
        },
    }
    listed = rows(known)
    assert listed == [
        Row("etcd", "healthy", 0, ""),
        Row("kubelet", "failing", 2, "ended with 1"),
    ]
    assert table(listed).splitlines() == [
        "COMPONENT  STATE    RESTARTS  DETAIL",
        "etcd       healthy  0",
        "kubelet    failing  2         ended with 1",
    ]
    assert rows({}) == []
