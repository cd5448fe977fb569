"""Which MLflow servers jobs may use, and where their pages are."""

from dataclasses import dataclass

from trainingjob_operator.core.intent import RunIdentity


@dataclass(frozen=True, slots=True)
class TrackingUris:
    """The operator's default tracking server, its allow-list of others, and where their UIs are.

    `cluster` tells the runs of one cluster from those of another on the same server.
    """

    default_uri: str
    ui_url: str
    allowed_uris: frozenset[str] = frozenset()
    ui_urls: tuple[tuple[str, str], ...] = ()
    cluster: str = ""

    def resolve(self, asked: str | None) -> str | None:
        """The tracking URI to use for `spec.mlflow.trackingUri`; None where it is not allowed."""
        if asked is None:
            return self.default_uri
        uri = asked.rstrip("/")
        return uri if uri == self.default_uri or uri in self.allowed_uris else None

    def run_url(self, tracking_uri: str, run: RunIdentity) -> str:
        """The run's page in the MLflow UI."""
        pages = {**dict(self.ui_urls), self.default_uri: self.ui_url}
        base = pages.get(tracking_uri, tracking_uri)
        return f"{base}/#/experiments/{run.experiment_id}/runs/{run.run_id}"
