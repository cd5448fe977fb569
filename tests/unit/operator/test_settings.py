"""Settings from the environment, with errors that name the variable."""

from typing import Any

import pytest
from trainingjob_operator.core.hardening import PodDefaults
from trainingjob_operator.core.intent import RunIdentity
from trainingjob_operator.core.tracking_uris import PodToken, TrackingUris
from trainingjob_operator.settings import SettingsError, read_settings

URI = {"TRAININGJOB_OPERATOR_MLFLOW_TRACKING_URI": "http://mlflow:5000/"}

WRONG = [
    ({}, "TRAININGJOB_OPERATOR_MLFLOW_TRACKING_URI: Field required"),
    (
        {"TRAININGJOB_OPERATOR_MLFLOW_TRACKING_URI": "mlflow:5000"},
        "TRAININGJOB_OPERATOR_MLFLOW_TRACKING_URI: String should match pattern",
    ),
    (
        {**URI, "TRAININGJOB_OPERATOR_WATCH_NAMESPACES": "a,team-*"},
        "team-*: not the name of a namespace; no patterns here",
    ),
    ({**URI, "TRAININGJOB_OPERATOR_WORKERS": "0"}, "TRAININGJOB_OPERATOR_WORKERS: Input should be"),
    (
        {**URI, "TRAININGJOB_OPERATOR_LOG_FORMAT": "xml"},
        "TRAININGJOB_OPERATOR_LOG_FORMAT: Input should be 'json' or 'plain'",
    ),
    (
        {**URI, "TRAININGJOB_OPERATOR_MLFLOW_SERVERS": '[{"uri": "https://a", "token": "x"}]'},
        "TRAININGJOB_OPERATOR_MLFLOW_SERVERS: Extra inputs are not permitted",
    ),
    (
        {**URI, "TRAININGJOB_OPERATOR_MLFLOW_SERVERS": "https://a"},
        "TRAININGJOB_OPERATOR_MLFLOW_SERVERS: Value error, Expecting value",
    ),
    (
        {**URI, "TRAININGJOB_OPERATOR_MLFLOW_SERVERS": '[{"uri": "http://mlflow:5000/"}]'},
        "http://mlflow:5000 is there twice, or is the default server",
    ),
    (
        {**URI, "TRAININGJOB_OPERATOR_MLFLOW_EXPERIMENT_PATTERN": "{team}/*"},
        "{team}/* may have {namespace} and *, and no other braces",
    ),
    (
        {**URI, "TRAININGJOB_OPERATOR_MLFLOW_WORKSPACES": '{"ml": "Vision"}'},
        "TRAININGJOB_OPERATOR_MLFLOW_WORKSPACES: String should match pattern",
    ),
    (
        {**URI, "TRAININGJOB_OPERATOR_MLFLOW_POD_TOKEN": '{"expirationSeconds": 60}'},
        "TRAININGJOB_OPERATOR_MLFLOW_POD_TOKEN: Input should be greater than or equal to 600",
    ),
    (
        {**URI, "TRAININGJOB_OPERATOR_POD_SECURITY_CONTEXT": '{"runAsUser": 0}'},
        "TRAININGJOB_OPERATOR_POD_SECURITY_CONTEXT: Input should be greater than or equal to 1",
    ),
    (
        {**URI, "TRAININGJOB_OPERATOR_POD_SECURITY_CONTEXT": '{"runAsNonRoot": false}'},
        "TRAININGJOB_OPERATOR_POD_SECURITY_CONTEXT: Extra inputs are not permitted",
    ),
    (
        {
            **URI,
            "TRAININGJOB_OPERATOR_MLFLOW_SERVERS": '[{"uri": "https://a/"}, {"uri": "https://a"}]',
        },
        "https://a is there twice, or is the default server",
    ),
]


@pytest.mark.parametrize(("environment", "message"), WRONG)
def test_a_wrong_setting_is_named(environment: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError) as error:
        read_settings(environment)
    assert message in str(error.value)


def test_further_servers_are_allowed_and_have_pages_of_their_own() -> None:
    servers = '[{"uri": "https://a/", "uiUrl": "https://ui.a/"}, {"uri": "https://b"}]'
    settings = read_settings({**URI, "TRAININGJOB_OPERATOR_MLFLOW_SERVERS": servers})
    assert settings.tracking_uris == TrackingUris(
        "http://mlflow:5000",
        "http://mlflow:5000",
        frozenset({"https://a", "https://b"}),
        (("https://a", "https://ui.a"),),
    )
    run = RunIdentity("7", "f00d")
    urls = [settings.tracking_uris.tracking(f"https://{name}", "").run_url(run) for name in "ab"]
    assert urls == [f"{page}/#/experiments/7/runs/f00d" for page in ("https://ui.a", "https://b")]


def test_servers_are_compared_without_their_last_slash() -> None:
    settings = read_settings(
        {
            **URI,
            "TRAININGJOB_OPERATOR_MLFLOW_ALLOWED_TRACKING_URIS": "http://a/, https://b ,",
            "TRAININGJOB_OPERATOR_MLFLOW_UI_URL": "",
        }
    )
    assert settings.tracking_uris == TrackingUris(
        "http://mlflow:5000", "http://mlflow:5000", frozenset({"http://a", "https://b"})
    )


@pytest.mark.parametrize(
    ("written", "read"), [("", ()), ("team", ("team",)), (" b, a ,b,", ("b", "a"))]
)
def test_watched_namespaces_are_named_with_commas(written: str, read: tuple[str, ...]) -> None:
    settings = read_settings({**URI, "TRAININGJOB_OPERATOR_WATCH_NAMESPACES": written})
    assert settings.watch_namespaces == read


@pytest.mark.parametrize(
    ("written", "defaults"),
    [
        ("", {"fsGroup": 65532, "fsGroupChangePolicy": "OnRootMismatch"}),
        ("{}", {}),
        (
            '{"runAsUser": 1000, "runAsGroup": 0, "supplementalGroups": [7]}',
            {"runAsUser": 1000, "runAsGroup": 0, "supplementalGroups": [7]},
        ),
    ],
)
def test_whose_ids_pods_have_by_default(written: str, defaults: dict[str, Any]) -> None:
    settings = read_settings({**URI, "TRAININGJOB_OPERATOR_POD_SECURITY_CONTEXT": written})
    assert settings.pod_defaults == PodDefaults(defaults)


def test_what_tenants_may_use() -> None:
    settings = read_settings(
        {
            **URI,
            "TRAININGJOB_OPERATOR_MLFLOW_EXPERIMENT_PATTERN": "{namespace}/*",
            "TRAININGJOB_OPERATOR_MLFLOW_WORKSPACES": '{"*": "{namespace}", "ml": "learning"}',
            "TRAININGJOB_OPERATOR_MLFLOW_POD_TOKEN": "{}",
            "TRAININGJOB_OPERATOR_MLFLOW_SERVERS": """[{"uri": "https://a",
                "workspaces": {"ml": "vision"},
                "podToken": {"audience": "mlflow", "expirationSeconds": 600}}]""",
        }
    )
    assert settings.tracking_uris == TrackingUris(
        "http://mlflow:5000",
        "http://mlflow:5000",
        frozenset({"https://a"}),
        experiment_pattern="{namespace}/*",
        workspaces={
            "http://mlflow:5000": {"*": "{namespace}", "ml": "learning"},
            "https://a": {"ml": "vision"},
        },
        pod_tokens={"http://mlflow:5000": PodToken(), "https://a": PodToken("mlflow", 600)},
    )


def test_the_page_of_a_run_in_a_workspace() -> None:
    """As MLflow's own client prints it; the default workspace is left out there, too."""
    uris = TrackingUris("http://mlflow", "https://ui")
    run = RunIdentity("7", "f00d")
    pages = [uris.tracking("http://mlflow", name).run_url(run) for name in ("vision", "default")]
    page = "https://ui/#/experiments/7/runs/f00d"
    assert pages == [f"{page}?workspace=vision", page]
