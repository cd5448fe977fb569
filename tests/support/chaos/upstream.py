"""The real API server and the real MLflow, as the proxy and the observers reach them."""

import asyncio
import base64
import ssl
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import orjson
import yaml

Json = dict[str, Any]

MLFLOW_SECONDS = 60.0

TRAININGJOBS = "/apis/trainingjob.dev/v1alpha1"
JOBS = "/apis/batch/v1"
CORE = "/api/v1"
RIGHTS = "/apis/rbac.authorization.k8s.io/v1"


class Refused(Exception):  # noqa: N818 - named for what the server did
    """The API server answered with an error."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text}")
        self.status = status


class Upstream:
    """Both servers, each over a pool of connections.

    `session` is for what the operator sends, and brings no login: that is the operator's own.
    """

    def __init__(self, kubeconfig: Path, mlflow: str) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        self.api = str(config["clusters"][0]["cluster"]["server"])
        self.mlflow = mlflow
        self.session = _session(aiohttp.TCPConnector(ssl=_tls(config), limit=0))
        self._admin = _session(aiohttp.TCPConnector(ssl=_admin_tls(config), limit=0))
        # MLflow closes idle connections: one from a pool may end just as it is used again.
        self.mlflow_session = _session(aiohttp.TCPConnector(limit=0, force_close=True))

    async def __aenter__(self) -> "Upstream":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.session.close()
        await self._admin.close()
        await self.mlflow_session.close()

    async def call(
        self, method: str, path: str, body: Json | None = None, patch: str = "merge-patch"
    ) -> Json:
        """Ask the API server as its administrator; raises Refused."""
        kind = f"application/{patch}+json" if method == "PATCH" else "application/json"
        async with self._admin.request(
            method,
            self.api + path,
            data=None if body is None else orjson.dumps(body),
            headers={"Content-Type": kind, "Accept-Encoding": "identity"},
        ) as reply:
            text = await reply.read()
            if reply.status >= 400:
                raise Refused(reply.status, text.decode())
            answer: Json = orjson.loads(text)
            return answer

    async def lines(self, path: str, **query: str) -> AsyncIterator[Json]:
        """Yield the events of a watch."""
        url = f"{self.api}{path}?{urlencode({'watch': 'true', **query})}"
        async with self._admin.get(url, headers={"Accept-Encoding": "identity"}) as reply:
            rest = b""
            async for chunk in reply.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    yield orjson.loads(line)

    async def ask_mlflow(self, method: str, endpoint: str, **body: Any) -> Json:
        """Ask MLflow's REST API; an error answers its error_code."""
        url = f"{self.mlflow}/api/2.0/mlflow/{endpoint}"
        if method == "GET":
            url, data = f"{url}?{urlencode(body)}", None
        else:
            data = orjson.dumps(body)
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        async with asyncio.timeout(MLFLOW_SECONDS):
            while True:
                async with self.mlflow_session.request(
                    method, url, data=data, headers=headers
                ) as reply:
                    text = await reply.read()
                    # A SQLite file that is locked for too long is an error of the server.
                    if reply.status < 500:
                        answer: Json = orjson.loads(text)
                        return answer
                await asyncio.sleep(0.2)

    async def experiment(self, name: str) -> str | None:
        """The id of an experiment, deleted or not."""
        found = await self.ask_mlflow("GET", "experiments/get-by-name", experiment_name=name)
        return str(found["experiment"]["experiment_id"]) if "experiment" in found else None

    async def runs(self, experiment: str) -> list[Json]:
        """All runs of the experiment of that name, deleted ones too, the oldest first."""
        number = await self.experiment(experiment)
        if number is None:
            return []
        found = await self.ask_mlflow(
            "POST",
            "runs/search",
            experiment_ids=[number],
            run_view_type="ALL",
            order_by=["attributes.start_time ASC"],
        )
        return list(found.get("runs", []))


def _session(connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
        auto_decompress=False,
    )


def _tls(config: Json) -> ssl.SSLContext:
    """TLS to the only cluster of a kubeconfig, for who has a token."""
    authority = config["clusters"][0]["cluster"]["certificate-authority-data"]
    return ssl.create_default_context(cadata=base64.b64decode(authority).decode())


def _admin_tls(config: Json) -> ssl.SSLContext:
    """The same with the certificate of the only user, which the API server heeds before a token."""
    context, user = _tls(config), config["users"][0]["user"]
    with tempfile.NamedTemporaryFile() as file:
        for part in ("client-certificate-data", "client-key-data"):
            file.write(base64.b64decode(user[part]) + b"\n")
        file.flush()
        context.load_cert_chain(file.name)
    return context
