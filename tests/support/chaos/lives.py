"""Lives of the operator: real processes, begun by the zygote and ended by real signals."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

START_SECONDS = 60.0


class Life:
    """One process of the operator."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.ended = asyncio.Event()
        try:
            self._descriptor: int | None = os.pidfd_open(pid)
        except ProcessLookupError:
            self._descriptor = None
            self.ended.set()
        else:
            asyncio.get_running_loop().add_reader(self._descriptor, self._end)

    def _end(self) -> None:
        assert self._descriptor is not None
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = None
        self.ended.set()

    async def end(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal and wait for the end."""
        if self._descriptor is not None:
            signal.pidfd_send_signal(self._descriptor, number)
        await asyncio.wait_for(self.ended.wait(), START_SECONDS)


class Zygote:
    """Begins lives; one for many tests."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._one_at_a_time = asyncio.Lock()

    async def __aenter__(self) -> "Zygote":
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.support.chaos.zygote",
            cwd=Path(__file__).parents[3],
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert await self._line() == "ready"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()

    async def begin(self, environment: dict[str, str], log: Path) -> Life:
        """Fork an operator whose output is appended to `log`."""
        order = json.dumps({"environment": environment, "log": str(log)})
        async with self._one_at_a_time:
            assert self._process is not None
            assert self._process.stdin is not None
            self._process.stdin.write(order.encode() + b"\n")
            return Life(int(await self._line()))

    async def _line(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), START_SECONDS)
        return line.decode().strip()
