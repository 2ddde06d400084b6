"""Starts one MCP server under limits and sees to it that nothing of it stays. A script: `python -I -S warden.py ORDER`.

The gateway cannot do this itself: `preexec_fn` is unsafe beside threads, and a server's child that leaves the process
group by `setsid` is out of reach of `killpg`. The warden is a child subreaper (prctl(2)), so whatever the server forks
becomes the warden's child at the latest when its parent dies, and is killed when the server ends, when the gateway asks
(SIGTERM: politely; SIGQUIT: at once), or when the gateway dies (parent death signal).

Standard library only, and little of it: it stays in memory beside every server. The server has its pipes directly; no
byte passes through here. Exit status: the server's own (128 + n for signal n), or 126 or 127 when it could not start.
"""

import ctypes
import json
import os
import resource
import signal
import sys
import time
from typing import NoReturn

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_CANNOT_START = 126
_NO_SUCH_COMMAND = 127
_SIGNALS = {signal.SIGCHLD, signal.SIGTERM, signal.SIGQUIT}

_libc = ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, argument: int) -> None:
    if _libc.prctl(option, argument, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl({option}): {os.strerror(number)}")


def _become_server(command: list[str], limits: dict[str, int], warden: int) -> NoReturn:
    try:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != warden:
            os._exit(_CANNOT_START)
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
        for name, value in limits.items():
            number = getattr(resource, name)
            _, hard = resource.getrlimit(number)
            bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(number, (bound, bound))
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        os.execv(command[0], command)  # noqa: S606 - no shell is what we want
    except OSError as error:
        os.write(2, f"cannot start {command[0]}: {error}\n".encode())
        os._exit(_NO_SUCH_COMMAND if isinstance(error, FileNotFoundError) else _CANNOT_START)


def _children() -> list[int]:
    """The pids of our direct children, orphans that were handed to us among them."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children") as file:  # noqa: PTH123 - pathlib is slow to import
            return [int(pid) for pid in file.read().split()]
    except FileNotFoundError:  # a kernel without CONFIG_PROC_CHILDREN
        return [int(name) for name in os.listdir("/proc") if name.isdigit() and _parent_of(name) == os.getpid()]  # noqa: PTH208


def _parent_of(pid: str) -> int:
    try:
        with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123 - as above
            return int(file.read().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):  # it ended while we looked
        return -1


def _kill_rest() -> None:
    """Kill every child, and those that become ours when they die, until there is none."""
    while True:
        for pid in _children():
            os.kill(pid, signal.SIGKILL)  # a child that ended is a zombie until we reap it: no other has its pid
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _reap(server: int) -> int | None:
    """Reap what has ended. Return the server's exit status once it is among them."""
    ended = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        if pid == server:
            code = os.waitstatus_to_exitcode(status)
            ended = code if code >= 0 else 128 - code


def _watch(server: int, grace: float) -> int:
    deadline: float | None = None
    while True:
        if deadline is None:
            number = signal.sigwaitinfo(_SIGNALS).si_signo
        else:
            info = signal.sigtimedwait(_SIGNALS, max(0.0, deadline - time.monotonic()))
            number = info.si_signo if info is not None else signal.SIGQUIT
        if number == signal.SIGCHLD:
            ended = _reap(server)
            if ended is not None:
                _kill_rest()
                return ended
        elif number == signal.SIGTERM and deadline is None:
            deadline = time.monotonic() + grace
            os.killpg(0, signal.SIGTERM)  # ourselves too: blocked here, and taken for a repeated order
        elif number == signal.SIGQUIT:
            _kill_rest()
            return 128 + signal.SIGKILL


def main() -> int:
    order = json.loads(sys.argv[1])
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != order["parent"]:
        return _CANNOT_START
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    warden = os.getpid()
    server = os.fork()
    if server == 0:
        _become_server(order["command"], order["limits"], warden)
    # The pipes are the server's alone: the gateway must see their end when the server closes them.
    os.close(0)
    os.close(1)
    status = _watch(server, order["grace"])
    if order["scratch"] is not None:
        import shutil  # only now: it would stay in memory for the server's life

        shutil.rmtree(order["scratch"], ignore_errors=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
