import subprocess
import sys
from ipaddress import IPv4Network
from pathlib import Path
from subprocess import PIPE

import pytest
from localcluster.components import Ports
from localcluster.errors import ClusterError
from localcluster.network import NodeNetwork, choose_network, choose_ports, reserve

NETWORK = NodeNetwork(IPv4Network("10.231.0.0/16"), "tjnode-abc")


def test_a_block_is_split_into_pods_services_and_link() -> None:
    assert (str(NETWORK.pods), str(NETWORK.services)) == ("10.231.0.0/20", "10.231.64.0/20")
    assert (NETWORK.host, NETWORK.node) == ("10.231.255.1", "10.231.255.2")


@pytest.mark.parametrize(
    ("routes", "block"),
    [
        ([], "10.231.0.0/16"),
        (["default", "192.0.2.0/24"], "10.231.0.0/16"),
        (["10.231.7.0/24"], "10.198.0.0/16"),
        (["10.192.0.0/10"], "10.167.0.0/16"),
        (["10.231.0.1"], "10.198.0.0/16"),
    ],
)
def test_the_first_block_that_the_machine_does_not_route(routes: list[str], block: str) -> None:
    assert choose_network(Path("/cache"), routes).block == IPv4Network(block)


def test_all_blocks_in_use() -> None:
    with pytest.raises(ClusterError, match="no free private network"):
        choose_network(Path("/cache"), ["10.0.0.0/8"])


def test_links_of_two_caches_differ_and_fit_the_kernels_limit() -> None:
    names = {choose_network(Path(cache), []).host_link for cache in ("/a", "/b")}
    assert len(names) == 2
    assert all(len(name) <= 15 for name in names)


def test_ports_are_six_free_ones_in_a_row() -> None:
    assert choose_ports(lambda port: port != 26443, lambda _: True) == Ports(
        apiserver=26450,
        etcd=26451,
        etcd_peer=26452,
        controller_manager=26453,
        scheduler=26454,
        kwok=26455,
    )


def test_ports_that_another_cluster_is_about_to_use_are_left_to_it() -> None:
    in_another_process = (
        "from localcluster.network import choose_ports, reserve\n"
        "print(choose_ports(lambda _: True, reserve).apiserver, flush=True)\n"
        "input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", in_another_process], stdin=PIPE, stdout=PIPE, text=True
    ) as other:
        assert other.stdout is not None
        theirs = int(other.stdout.readline())
        ours = choose_ports(lambda port: port >= theirs, reserve).apiserver
        other.communicate("\n")

    assert ours > theirs


def test_no_free_ports() -> None:
    with pytest.raises(ClusterError, match="no six free ports"):
        choose_ports(lambda _: False, lambda _: True)
