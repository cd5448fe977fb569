"""Kubeconfigs that are none: the cause in one line, and what to do."""

import os
from pathlib import Path

import pytest
from trainingjob.adapters.kube import Cluster
from trainingjob.errors import UserError

REMEDY = "name a kubeconfig by KUBECONFIG, as for kubectl, and one of its contexts by --context"
HEAD = b"apiVersion: v1\nkind: Config\ncurrent-context: c\n"
CONTEXT = b"contexts: [{name: c, context: {cluster: c, user: u}}]\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "Invalid kube-config. {file} file is empty"),
        (b"a: [", "{file} is no kubeconfig: while parsing a flow node"),
        (b"[]", "{file} is no kubeconfig: list indices must be integers"),
        (b"text", "{file} is no kubeconfig: 'str' object does not support item assignment"),
        (b"\x8a\x00", "{file} is no kubeconfig: 'utf-8' codec can't decode"),
        (HEAD + CONTEXT, "Invalid kube-config file. Expected "),
        (HEAD, "Invalid kube-config file. Expected "),
        (None, "{file} is no kubeconfig: [Errno 21] Is a directory"),
    ],
)
def test_what_is_no_kubeconfig(
    content: bytes | None, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config"
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    monkeypatch.setenv("KUBECONFIG", os.fspath(file))
    with pytest.raises(UserError) as refused:
        Cluster.connect()
    assert refused.value.message.startswith(f"no cluster: {message.format(file=file)}")
    assert refused.value.remedy == REMEDY
