"""What servers and networks do to an operator that lives on."""

import asyncio

from tests.support.chaos.calls import Answer, Call, Dropped, Kind, Server
from tests.support.chaos.crashes import Counted, Crash, Plan, Point
from tests.support.chaos.proxy import EXPIRED, Fault, Forward, Stream
from tests.support.chaos.trial import Trial


class Down(Counted):
    """A server is away for some time, from one write on."""

    def __init__(self, trial: Trial, point: Point, server: Server, seconds: float) -> None:
        super().__init__(point)
        self._trial = trial
        self._server = server
        self._seconds = seconds
        self._until = 0.0

    async def answer(self, call: Call, forward: Forward) -> Answer:
        """Close every connection to it while it is away."""
        now = asyncio.get_running_loop().time()
        if self.reached(call):
            self._until = now + self._seconds
            if self._server is Server.API:
                self._trial.proxy.break_streams()
        if now < self._until and call.server is self._server:
            raise Dropped
        return await forward()


class Once(Fault):
    """The first call of each sort is answered with an error, and not handed on."""

    def __init__(self, error: Answer, server: Server) -> None:
        self._error = error
        self._server = server
        self._seen: set[tuple[Kind, str]] = set()

    async def answer(self, call: Call, forward: Forward) -> Answer:
        """Refuse once."""
        sort = call.kind, call.what
        if call.server is not self._server or sort in self._seen:
            return await forward()
        self._seen.add(sort)
        return self._error


class Lost(Fault):
    """The first write of each sort is applied, but no answer comes: not for `hold` seconds."""

    loses_answers = True

    def __init__(self, server: Server, hold: float | None) -> None:
        self._server = server
        self._hold = hold
        self._seen: set[str] = set()

    async def answer(self, call: Call, forward: Forward) -> Answer:
        """Hand on, and lose the answer."""
        answer = await forward()
        if (
            call.server is not self._server
            or call.kind is not Kind.WRITE
            or call.what in self._seen
        ):
            return answer
        self._seen.add(call.what)
        if self._hold is not None:
            await asyncio.sleep(self._hold)
        raise Dropped


class Slow(Fault):
    """Every call of one server takes so many seconds more."""

    def __init__(self, server: Server, seconds: float) -> None:
        self._server = server
        self._seconds = seconds

    async def answer(self, call: Call, forward: Forward) -> Answer:
        """Wait first."""
        if call.server is self._server:
            await asyncio.sleep(self._seconds)
        return await forward()


class HalfOpen(Counted):
    """From one write on no watch that is open brings a byte, and none ends."""

    def __init__(self, trial: Trial, point: Point) -> None:
        super().__init__(point)
        self._trial = trial

    async def answer(self, call: Call, forward: Forward) -> Answer:
        """Silence what is open."""
        if self.reached(call):
            for stream in self._trial.proxy.streams:
                stream.mute = True
        return await forward()


class Expired(Counted):
    """At one write all watches end with 410, and no new one may begin where the last one ended."""

    def __init__(self, trial: Trial, point: Point) -> None:
        super().__init__(point)
        self._trial = trial
        self._refused: set[str] = set()

    async def answer(self, call: Call, forward: Forward) -> Answer:
        """End what is open; the first watch of each resource after it gets 410, too."""
        if self.reached(call):
            for stream in list(self._trial.proxy.streams):
                await stream.say(EXPIRED)
        if self.done and call.kind is Kind.WATCH and call.path not in self._refused:
            self._refused.add(call.path)
            return Answer.api_error(410, "Expired")
        return await forward()


class OfKopf(Counted):
    """What happens to the watch of TrainingJobs, which is kopf's, from one write on."""

    what = "GET trainingjobs"

    def __init__(self, trial: Trial, point: Point) -> None:
        super().__init__(point)
        self._trial = trial

    def streams(self) -> list[Stream]:
        """Those that are open."""
        return [one for one in self._trial.proxy.streams if one.call.what == self.what]


class Says(OfKopf):
    """It gets a line that nobody expects, and ends."""

    def __init__(self, trial: Trial, point: Point, line: bytes) -> None:
        super().__init__(trial, point)
        self._line = line

    async def answer(self, call: Call, forward: Forward) -> Answer:
        """Say it at the write."""
        if self.reached(call):
            for stream in self.streams():
                await stream.say(self._line)
        return await forward()


class Refused(OfKopf):
    """It ends, and lists and watches of TrainingJobs are refused for some time."""

    def __init__(self, trial: Trial, point: Point, error: Answer, seconds: float) -> None:
        super().__init__(trial, point)
        self._error = error
        self._seconds = seconds
        self._until = 0.0

    async def answer(self, call: Call, forward: Forward) -> Answer:
        """Refuse what would read."""
        now = asyncio.get_running_loop().time()
        if self.reached(call):
            self._until = now + self._seconds
            for stream in self.streams():
                stream.abort()
        reads = call.kind is Kind.WATCH or call.is_list
        if now < self._until and reads and call.what == self.what:
            return self._error
        return await forward()


class Silent(OfKopf):
    """It ends, and the next one is opened and brings nothing, not even its end."""

    def __init__(self, trial: Trial, point: Point) -> None:
        super().__init__(trial, point)
        self._silenced: set[str] = set()

    async def answer(self, call: Call, forward: Forward) -> Answer:
        """End what is open."""
        if self.reached(call):
            for stream in self.streams():
                stream.abort()
        return await forward()

    def silences(self, call: Call) -> bool:
        """The next one of each replica."""
        if not self.done or call.what != self.what or call.replica in self._silenced:
            return False
        self._silenced.add(call.replica)
        return True


class Stale(Crash):
    """The operator is killed, and its next life is given the lists of its first one."""

    def __init__(self, trial: Trial, plan: Plan) -> None:
        super().__init__(trial, plan)
        self._lists: dict[str, Answer] = {}
        self._given: set[str] = set()

    async def answer(self, call: Call, forward: Forward) -> Answer:
        """Keep the first list of each resource, and give it once more."""
        if not call.is_list:
            return await super().answer(call, forward)
        if not self.done:
            self._lists.setdefault(call.path, await forward())
        elif call.path in self._lists and call.path not in self._given:
            self._given.add(call.path)
            return self._lists[call.path]
        return await forward()


class Failover(Crash):
    """The leader is killed, and the standby has heard nothing of Jobs and pods since its start.

    It knows every TrainingJob, but none of what belongs to it, until it notices its dead watches.
    """

    async def answer(self, call: Call, forward: Forward) -> Answer:
        """Silence the standby with the leader's first write."""
        if call.kind is Kind.WRITE and not self.done:
            for stream in self._trial.proxy.streams:
                deaf = stream.call.what in ("GET jobs", "GET pods")
                stream.mute = stream.mute or (deaf and stream.call.replica != call.replica)
        return await super().answer(call, forward)


class Unnoticed(Counted):
    """A write is applied, its answer is lost, and the watches of Jobs and pods are dead by then."""

    def __init__(self, trial: Trial, point: Point) -> None:
        super().__init__(point)
        self._trial = trial

    async def answer(self, call: Call, forward: Forward) -> Answer:
        """Silence what would show the write, apply it, and say nothing."""
        if not self.reached(call):
            return await forward()
        for stream in self._trial.proxy.streams:
            stream.mute = stream.mute or stream.call.what in ("GET jobs", "GET pods")
        await forward()
        raise Dropped
