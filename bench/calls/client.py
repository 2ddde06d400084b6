"""The client that loads: one thread, raw sockets, no library in between. `python -m bench.calls.client LOAD`."""

import select
import sys
import time

import msgspec

from bench.calls.spec import Load, Seen
from bench.calls.wires import Connection, NotServed, WrongAnswer, connections

_ANSWER_S = 30.0
_ERROR_CHARS = 300
_WARM_CALLS = 3  # of each that is under way at once, before anything counts
_WARM_LOOK_S = 0.05


class _Run:
    """A closed loop: whatever is answered is followed by the next request, until the time is over."""

    def __init__(self, load: Load) -> None:
        self._open = connections(load)
        self._by_descriptor = {connection.descriptor: connection for connection, _ in self._open}
        self._poll = select.epoll()
        for descriptor in self._by_descriptor:
            self._poll.register(descriptor, select.EPOLLIN)
        self._since: dict[tuple[int, int], float] = {}
        self.times: list[float] = []
        self.answered = 0
        self.errors: dict[str, int] = {}

    def start(self) -> None:
        for connection, width in self._open:
            for _ in range(width):
                self._ask(connection)

    def turn(self, until: float, *, go_on: bool) -> None:
        """Take answers until that time; without `go_on`, nothing more is asked and the last answer ends it."""
        while self._since and time.perf_counter() < until:
            for descriptor, _ in self._poll.poll(_ANSWER_S):
                connection = self._by_descriptor[descriptor]
                for _ in range(self._take(connection)):
                    if go_on:
                        self._ask(connection)

    def close(self) -> None:
        for connection, _ in self._open:
            connection.close()

    def _ask(self, connection: Connection) -> None:
        began = time.perf_counter()
        self._since[connection.descriptor, connection.ask()] = began

    def _take(self, connection: Connection) -> int:
        try:
            numbers = connection.take()
        except WrongAnswer as wrong:
            text = str(wrong.args[0])[:_ERROR_CHARS]
            self.errors[text] = self.errors.get(text, 0) + 1
            del self._since[connection.descriptor, wrong.args[-1]]
            return 1
        now = time.perf_counter()
        for number in numbers:
            self.times.append(now - self._since.pop((connection.descriptor, number)))
        self.answered += len(numbers) * connection.calls
        return len(numbers)


def run(load: Load) -> Seen:
    """Load, and return what was seen. Every request that was sent is waited for."""
    work = _Run(load)
    work.start()
    began = time.perf_counter()
    warm_calls = _WARM_CALLS * load.width
    while time.perf_counter() < began + load.warm_up or (work.answered < warm_calls and not work.errors):
        work.turn(time.perf_counter() + _WARM_LOOK_S, go_on=True)  # the first calls start servers and sessions
    warmed, work.times = work.answered, []
    began, cpu = time.perf_counter(), time.process_time()
    work.turn(began + load.seconds, go_on=True)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    counted, times = work.answered - warmed, sorted(work.times)
    work.turn(time.perf_counter() + _ANSWER_S, go_on=False)
    work.close()
    p50, p95, p99 = (round(times[int(len(times) * share)] * 1000, 3) if times else 0.0 for share in (0.5, 0.95, 0.99))
    return Seen(counted, work.answered, seconds, p50, p95, p99, round(cpu, 3), work.errors)


if __name__ == "__main__":
    try:
        seen = run(msgspec.json.decode(sys.argv[1], type=Load))
    except NotServed as error:
        sys.exit(f"not served: {error}")
    print(msgspec.json.encode(seen).decode(), flush=True)
