"""A login in files: read again when somebody changes them, and once more after a 401."""

import logging
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from trainingjob_operator.adapters.mlflow_rest import (
    Credentials,
    FileLogin,
    LoginError,
    MlflowApi,
    MlflowError,
)


class Guard:
    """Lets in who has the right header; calls `refusing` before it refuses somebody."""

    def __init__(self) -> None:
        self.expected = "Bearer first"
        self.sent: list[str | None] = []
        self.refusing: Callable[[], None] = lambda: None

    async def handle(self, request: web.Request) -> web.Response:
        self.sent.append(request.headers.get("Authorization"))
        if self.sent[-1] != self.expected:
            self.refusing()
            return web.Response(status=401, text="who are you?")
        experiment = {"experiment_id": "7", "lifecycle_stage": "active"}
        return web.json_response({"experiment": experiment})


@pytest.fixture
def guard() -> Guard:
    return Guard()


@pytest.fixture
async def server(guard: Guard, tmp_path: Path) -> AsyncIterator[MlflowApi]:
    write(tmp_path, "first")
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", guard.handle)
    async with TestServer(application) as listening:
        login = FileLogin(tmp_path, Credentials())
        client = MlflowApi(str(listening.make_url("/")), login, lambda *_: None)
        yield client
        await client.close()


def write(directory: Path, token: str) -> None:
    """As the kubelet does: another file takes the place of the old one."""
    fresh = directory / "fresh"
    fresh.write_text(f"{token}\n")
    fresh.rename(directory / "MLFLOW_TRACKING_TOKEN")


async def test_a_fresh_token_is_used_from_the_next_call_on(
    server: MlflowApi, guard: Guard, tmp_path: Path
) -> None:
    await server.experiment_id("x")
    write(tmp_path, "second")
    guard.expected = "Bearer second"
    await server.experiment_id("x")
    assert guard.sent == ["Bearer first", "Bearer second"]


async def test_a_token_that_comes_while_the_old_one_is_refused_is_tried_at_once(
    server: MlflowApi, guard: Guard, tmp_path: Path
) -> None:
    guard.expected = "Bearer second"
    guard.refusing = lambda: write(tmp_path, "second")
    assert await server.experiment_id("x") == "7"
    assert guard.sent == ["Bearer first", "Bearer second"]


async def test_a_refused_token_without_another_one_is_reported_after_one_call(
    server: MlflowApi, guard: Guard
) -> None:
    guard.expected = "Bearer another"
    with pytest.raises(MlflowError, match="refuses the operator's credentials"):
        await server.experiment_id("x")
    assert guard.sent == ["Bearer first"]


async def test_workspaces_of_a_server_share_its_login(
    server: MlflowApi, guard: Guard, tmp_path: Path
) -> None:
    vision = server.in_workspace("vision")
    write(tmp_path, "second")
    guard.expected = "Bearer second"
    assert [await one.experiment_id("x") for one in (vision, server)] == ["7", "7"]


def test_a_login_that_breaks_later_leaves_the_old_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, "first")
    login = FileLogin(tmp_path, Credentials())
    (tmp_path / "MLFLOW_TRACKING_TOKEN").unlink()
    assert login.headers() == {"Authorization": "Bearer first"}
    assert login.headers() == {"Authorization": "Bearer first"}
    [said] = caplog.messages
    assert f"login in {tmp_path}: there is no MLFLOW_TRACKING_TOKEN" in said


def test_a_file_that_is_written_in_place_is_read_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    path = tmp_path / "MLFLOW_TRACKING_TOKEN"
    path.write_text("same-length-1")
    login = FileLogin(tmp_path, Credentials())
    before = path.stat()
    path.write_text("same-length-2")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert login.headers() == {"Authorization": "Bearer same-length-2"}
    assert caplog.messages == [f"the login in {tmp_path} has changed"]


def test_no_login_at_the_start_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LoginError, match="there is no MLFLOW_TRACKING_TOKEN"):
        FileLogin(tmp_path, Credentials())
