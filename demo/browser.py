"""A headless Chromium that photographs a page, by the Chrome DevTools Protocol."""

import asyncio
import base64
import contextlib
import itertools
import re
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
POLL_SECONDS = 0.25


def executable() -> str:
    """Return a Chromium's path; on Debian as root one is installed where there is none."""
    if (found := next(filter(None, map(shutil.which, BROWSERS)), None)) is not None:
        return found
    print("No Chromium here: installing Debian's package (needs root)", flush=True)
    subprocess.run(["apt-get", "update", "-qq"], check=True)
    subprocess.run(["apt-get", "install", "--yes", "-qq", "chromium"], check=True)
    return "chromium"


class Page:
    """A page in the browser."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol and return its result; raise RuntimeError if it fails."""
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        while (answer := await self._socket.receive_json()).get("id") != number:
            pass  # an event, or a late answer
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        result: dict[str, Any] = answer["result"]
        return result

    async def wait_for(self, expression: str, timeout_seconds: float) -> None:
        """Wait until a JavaScript expression is true; raise TimeoutError."""
        async with asyncio.timeout(timeout_seconds):
            while True:
                answer = await self.call("Runtime.evaluate", expression=f"Boolean({expression})")
                if answer["result"].get("value") is True:
                    return
                await asyncio.sleep(POLL_SECONDS)

    async def screenshot(self) -> bytes:
        """Return the window's content as PNG."""
        answer = await self.call("Page.captureScreenshot", format="png")
        return base64.b64decode(answer["data"])


@contextlib.asynccontextmanager
async def open_page(url: str, width: int, height: int) -> AsyncIterator[Page]:
    """Start a browser with one window of that many pixels, showing the page."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            *(executable(), "--headless", "--no-sandbox", "--hide-scrollbars", "--disable-gpu"),
            *(f"--user-data-dir={profile}", f"--window-size={width},{height}"),
            # A mouse: without one the page shows what it would show under a finger.
            "--blink-settings=primaryHoverType=2,availableHoverTypes=2",
            *("--remote-debugging-port=0", url),
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stderr is not None  # noqa: S101 - it is a pipe
        try:
            async with asyncio.timeout(60):
                address = await _page_address(process.stderr)
            async with (
                aiohttp.ClientSession() as session,
                session.ws_connect(address, max_msg_size=0) as socket,
            ):
                yield Page(socket)
        finally:
            process.terminate()
            await process.wait()


async def _page_address(stderr: asyncio.StreamReader) -> str:
    """Return the page's address once the browser has reported its port and opened the page."""
    listening = None
    while listening is None:
        if not (line := await stderr.readline()):
            raise RuntimeError("the browser ended before it listened")
        listening = re.search(rb"listening on ws://([^/]+)/", line)
    async with aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"http://{listening[1].decode()}/json") as response:
                targets = await response.json(content_type=None)
            for target in targets:
                if target["type"] == "page":
                    return str(target["webSocketDebuggerUrl"])
            await asyncio.sleep(POLL_SECONDS)
