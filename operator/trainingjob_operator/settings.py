"""The operator's settings, from its environment."""

import json
import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic.alias_generators import to_camel

from trainingjob_operator.core.hardening import DEFAULTS, PodDefaults
from trainingjob_operator.core.tracking_uris import PLACEHOLDER, PodToken, TrackingUris

# RFC 1123, as the API server has it.
DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
PREFIX = "TRAININGJOB_OPERATOR_"
JSON_FIELDS = ("mlflow_servers", "mlflow_workspaces", "mlflow_pod_token", "pod_security_context")


class SettingsError(Exception):
    """A setting is missing or wrong; the message names the variable."""


# The template of a workspace's name (MLflow's WorkspaceNameValidator) for a namespace, or for `*`.
Workspace = Annotated[str, Field(pattern=r"^([a-z0-9-]|\{namespace\}){1,63}$")]
Workspaces = dict[Annotated[str, Field(pattern=r"^([a-z0-9-]{1,63}|\*)$")], Workspace]

Id = Annotated[int, Field(ge=0, le=2**31 - 1)]


class SettingsPart(BaseModel):
    """A part of the settings that is JSON, with names in camelCase."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel)


class PodTokenSettings(SettingsPart):
    """The ServiceAccount token by which the pods of jobs log in to an MLflow server."""

    audience: str = ""
    expiration_seconds: int = Field(default=3600, ge=600)


class PodSecuritySettings(SettingsPart):
    """The security context of pods whose jobs have none (core/v1 PodSecurityContext)."""

    run_as_user: Id | None = Field(default=None, ge=1)
    run_as_group: Id | None = None
    fs_group: Id | None = None
    fs_group_change_policy: Literal["Always", "OnRootMismatch"] | None = None
    supplemental_groups: tuple[Id, ...] | None = None


class ServerSettings(SettingsPart):
    """A further MLflow server: where it is, and the files of its login and its CA certificate."""

    uri: str = Field(pattern=r"^https?://[^/]+")
    ui_url: str | None = None
    login_directory: Path | None = None
    ca_path: str = ""
    workspaces: Workspaces = {}
    pod_token: PodTokenSettings | None = None

    @field_validator("uri", "ui_url")
    @classmethod
    def _without_slash(cls, value: str | None) -> str | None:
        return value.rstrip("/") if value else None


class Settings(BaseModel):
    """Each field is read from TRAININGJOB_OPERATOR_<FIELD>; times are in seconds."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    namespace: str = "trainingjob-system"
    identity: str = Field(default_factory=socket.gethostname, min_length=1)
    # The name of the replicas' Lease; with `namespace` it names the installation.
    installation: str = "trainingjob-operator"
    watch_namespaces: tuple[str, ...] = ()
    mlflow_tracking_uri: str = Field(pattern=r"^https?://[^/]+")
    mlflow_ui_url: str | None = None
    mlflow_login_directory: Path | None = None
    mlflow_allowed_tracking_uris: frozenset[str] = frozenset()
    mlflow_servers: tuple[ServerSettings, ...] = ()
    mlflow_experiment_pattern: str = Field(default="", max_length=256)
    mlflow_workspaces: Workspaces = {}
    mlflow_pod_token: PodTokenSettings | None = None
    pod_security_context: PodSecuritySettings = PodSecuritySettings.model_validate(
        DEFAULTS.security_context
    )
    mlflow_poll_seconds: float = Field(default=5.0, gt=0)
    workers: int = Field(default=4, ge=1, le=64)
    lease_seconds: int = Field(default=15, ge=3)
    # Empty: all addresses, of IPv4 and IPv6.
    http_host: str = ""
    http_port: int = Field(default=8080, ge=1, le=65535)
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "plain"] = "json"

    @field_validator("mlflow_tracking_uri", "mlflow_ui_url")
    @classmethod
    def _without_slash(cls, value: str | None) -> str | None:
        return value.rstrip("/") if value else None

    @field_validator("mlflow_allowed_tracking_uris", mode="before")
    @classmethod
    def _comma_separated(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return frozenset(uri.strip().rstrip("/") for uri in value.split(",") if uri.strip())

    @field_validator("watch_namespaces", mode="before")
    @classmethod
    def _namespaces(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(dict.fromkeys(name.strip() for name in value.split(",") if name.strip()))

    @field_validator("watch_namespaces")
    @classmethod
    def _dns_labels(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        wrong = [name for name in value if not DNS_LABEL.fullmatch(name)]
        if wrong:
            raise ValueError(f"{', '.join(wrong)}: not the name of a namespace; no patterns here")
        return value

    @field_validator("mlflow_experiment_pattern")
    @classmethod
    def _pattern(cls, value: str) -> str:
        """A mistyped {namespace} would allow one experiment of that very name, and no other."""
        if set("{}").intersection(value.replace(PLACEHOLDER, "")):
            raise ValueError(f"{value} may have {PLACEHOLDER} and *, and no other braces")
        return value

    @field_validator(*JSON_FIELDS, mode="before")
    @classmethod
    def _json(cls, value: object) -> object:
        return json.loads(value) if isinstance(value, str) else value

    @field_validator("mlflow_servers")
    @classmethod
    def _each_once(
        cls, value: tuple[ServerSettings, ...], info: ValidationInfo
    ) -> tuple[ServerSettings, ...]:
        """Two entries for one server would be two logins, of which one is used."""
        uris = [info.data.get("mlflow_tracking_uri"), *(one.uri for one in value)]
        for uri in uris:
            if uris.count(uri) > 1:
                raise ValueError(f"{uri} is there twice, or is the default server")
        return value

    @property
    def pod_defaults(self) -> PodDefaults:
        """What pods have whose jobs choose nothing."""
        chosen = self.pod_security_context.model_dump(mode="json", by_alias=True, exclude_none=True)
        return PodDefaults(chosen)

    @property
    def tracking_uris(self) -> TrackingUris:
        """Which MLflow servers jobs may use."""
        uri, others = self.mlflow_tracking_uri, self.mlflow_servers
        workspaces = {uri: self.mlflow_workspaces, **{one.uri: one.workspaces for one in others}}
        tokens = {uri: self.mlflow_pod_token, **{one.uri: one.pod_token for one in others}}
        return TrackingUris(
            default_uri=uri,
            ui_url=self.mlflow_ui_url or uri,
            allowed_uris=self.mlflow_allowed_tracking_uris | {one.uri for one in others},
            ui_urls=tuple((one.uri, one.ui_url) for one in others if one.ui_url),
            experiment_pattern=self.mlflow_experiment_pattern,
            workspaces={server: mapped for server, mapped in workspaces.items() if mapped},
            pod_tokens={
                server: PodToken(token.audience, token.expiration_seconds)
                for server, token in tokens.items()
                if token is not None
            },
        )


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Settings from environment variables; an empty variable counts as not set.

    Raises:
        SettingsError: one is missing or wrong.
    """
    values = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in environment.items()
        if name.startswith(PREFIX) and value
    }
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        faults = (
            f"{PREFIX}{str(fault['loc'][0]).upper()}: {fault['msg']}" for fault in error.errors()
        )
        raise SettingsError("; ".join(faults)) from error
