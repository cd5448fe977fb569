"""apt-get, played by a script: what it does when another one holds the lock of the lists."""

from pathlib import Path

import pytest
from localcluster.errors import ClusterError

from localcluster import debian

APT_GET = """#!/bin/sh
echo "$@" >>"$CALLS"
[ "$1" = update ] || exit 0
[ "$(grep -c update "$CALLS")" -gt "$BUSY" ] && exit 0
echo "$MESSAGE"
exit 100
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "bin" / "apt-get"
    program.parent.mkdir()
    program.write_text(APT_GET)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setenv("TRAININGJOB_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    return tmp_path / "calls"


def test_an_update_beside_another_one_is_tried_again(
    calls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUSY", "1")
    monkeypatch.setenv("MESSAGE", "E: Could not get lock /var/lib/apt/lists/lock.")

    debian.ensure({"no-such-program": "some-package"})

    options = "--yes --no-install-recommends --option=DPkg::Lock::Timeout=300"
    assert calls.read_text().splitlines() == [
        "update",
        "update",
        f"install {options} some-package",
    ]


def test_an_update_that_fails_otherwise_is_reported_with_its_own_last_lines(
    calls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUSY", "9")
    for message in ("E: Could not resolve host", "E: The repository is not signed"):
        monkeypatch.setenv("MESSAGE", message)
        with pytest.raises(ClusterError) as raised:
            debian.ensure({"no-such-program": "some-package"})
        assert str(raised.value).splitlines()[:2] == [
            "`apt-get update` ended with 100:",
            f"  {message}",
        ]
    assert calls.read_text().splitlines() == ["update", "update"]
