"""Which MLflow servers jobs may use, which experiments and workspaces, and their UI addresses."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from trainingjob_operator.core.intent import RunIdentity

DEFAULT_WORKSPACE = "default"
# Stands for the job's namespace in patterns and templates of names.
PLACEHOLDER = "{namespace}"


@dataclass(frozen=True, slots=True)
class PodToken:
    """The ServiceAccount token with which pods log in (core/v1 ServiceAccountTokenProjection).

    Without an audience, it is the API server's.
    """

    audience: str = ""
    expiration_seconds: int = 3600


@dataclass(frozen=True, slots=True)
class Tracking:
    """Where a job's run is kept, and how its pods log in there.

    Without a `workspace` it is the server's default one, or the server has none. People open the
    server's pages at `ui_url`; without one at `uri`.
    """

    uri: str
    workspace: str = ""
    token: PodToken | None = None
    ui_url: str = ""

    def run_url(self, run: RunIdentity) -> str:
        """The run's page in the MLflow UI."""
        base = self.ui_url or self.uri
        page = f"{base}/#/experiments/{run.experiment_id}/runs/{run.run_id}"
        if self.workspace in ("", DEFAULT_WORKSPACE):
            return page
        return f"{page}?workspace={quote(self.workspace, safe='')}"


@dataclass(frozen=True, slots=True)
class TrackingUris:
    """The operator's default tracking server, its allow-list of others, and their UI addresses.

    `cluster` distinguishes the runs of one cluster from those of another on the same server.
    `experiment_pattern` binds experiments to namespaces, `workspaces` those of a server: by its
    URI, from namespace to workspace. In both `{namespace}` stands for the job's; `*` stands in the
    pattern for any text, and as a namespace for all that are not named.
    """

    default_uri: str
    ui_url: str
    allowed_uris: frozenset[str] = frozenset()
    ui_urls: tuple[tuple[str, str], ...] = ()
    cluster: str = ""
    experiment_pattern: str = ""
    workspaces: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    pod_tokens: Mapping[str, PodToken] = field(default_factory=dict)

    def resolve(self, asked: str | None) -> str | None:
        """The tracking URI to use for `spec.mlflow.trackingUri`; None if it is not allowed."""
        if asked is None:
            return self.default_uri
        uri = asked.rstrip("/")
        return uri if uri == self.default_uri or uri in self.allowed_uris else None

    def tracking(self, uri: str, workspace: str) -> Tracking:
        """One of these servers, for a job that uses the workspace."""
        pages = {**dict(self.ui_urls), self.default_uri: self.ui_url}
        return Tracking(uri, workspace, self.pod_tokens.get(uri), pages.get(uri, ""))
