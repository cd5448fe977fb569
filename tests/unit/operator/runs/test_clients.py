"""Each server's login and CA come from its own files; what cannot be read is named at the start."""

import json
from pathlib import Path

import pytest
from trainingjob_operator.runs.clients import ClientPool
from trainingjob_operator.settings import SettingsError, read_settings


def open_servers(**server: str) -> ClientPool:
    environment = {
        "TRAININGJOB_OPERATOR_MLFLOW_TRACKING_URI": "http://mlflow:5000",
        "TRAININGJOB_OPERATOR_MLFLOW_SERVERS": json.dumps([{"uri": "https://a", **server}]),
    }
    return ClientPool(read_settings(environment), {}, lambda *_: None)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "there is no MLFLOW_TRACKING_TOKEN or MLFLOW_TRACKING_USERNAME"),
        ({"MLFLOW_TRACKING_TOKEN": "\n"}, "there is no MLFLOW_TRACKING_TOKEN"),
    ],
)
def test_a_login_without_one_is_refused(
    tmp_path: Path, files: dict[str, str], message: str
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(SettingsError, match=message) as error:
        open_servers(loginDirectory=str(tmp_path))
    assert str(tmp_path) in str(error.value)


def test_the_login_of_the_default_server_is_named_too(tmp_path: Path) -> None:
    environment = {
        "TRAININGJOB_OPERATOR_MLFLOW_TRACKING_URI": "http://mlflow:5000",
        "TRAININGJOB_OPERATOR_MLFLOW_LOGIN_DIRECTORY": str(tmp_path),
    }
    with pytest.raises(SettingsError, match=f"login in {tmp_path}: there is no MLFLOW_TRACKING"):
        ClientPool(read_settings(environment), {}, lambda *_: None)


@pytest.mark.parametrize("text", [None, "no certificate"])
def test_a_ca_that_cannot_be_read_is_named(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "ca.crt"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SettingsError, match=r"CA certificate .*ca\.crt of https://a: "):
        open_servers(caPath=str(path))
