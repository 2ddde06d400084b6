"""The process that imports everything once and forks the services from there.

It listens on a socket that it inherited, one JSON object a line. In: first `Preload`, then any number of `Fork`.
Out: `Loaded` when the imports are done, `Forked` and `Ended` for the children. When the socket closes, the
supervisor is gone: the children are killed and the process ends. Nothing here may start a thread before a fork.
"""

import contextlib
import gc
import importlib
import os
import selectors
import signal
import socket
import sys
import traceback
from typing import NoReturn

import msgspec

from infra.local.launch import die_with_parent
from infra.local.limits import CONTROL_LINE_BYTES


class Preload(msgspec.Struct, frozen=True, tag="preload"):
    """Import these modules before anything is forked."""

    modules: list[str]


class Fork(msgspec.Struct, frozen=True, tag="fork"):
    """Run `main()` of a module in a child whose environment is exactly `environment`, its output appended to `log`."""

    name: str
    module: str
    environment: dict[str, str]
    log: str


class Loaded(msgspec.Struct, frozen=True, tag="loaded"):
    """The imports are done."""


class Forked(msgspec.Struct, frozen=True, tag="forked"):
    """The child of that name has this pid."""

    name: str
    pid: int


class Ended(msgspec.Struct, frozen=True, tag="ended"):
    """A child ended: its exit code, or minus the signal."""

    pid: int
    code: int


Order = Preload | Fork
Report = Loaded | Forked | Ended


def main() -> None:
    """Serve the control socket whose descriptor is the last argument."""
    control = socket.socket(fileno=int(sys.argv[-1]))
    die_with_parent(os.getppid(), signal.SIGKILL)
    woken, wakes = socket.socketpair()
    wakes.setblocking(False)
    woken.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)
    with control, woken, wakes, selectors.DefaultSelector() as selector:
        selector.register(control, selectors.EVENT_READ)
        selector.register(woken, selectors.EVENT_READ)
        child = _serve(control, woken, selector)
    if child is not None:
        _become(child)


def _serve(control: socket.socket, woken: socket.socket, selector: selectors.BaseSelector) -> Fork | None:
    """Do as ordered. Returns None when the supervisor is gone, and, in each child, what the child is to become."""
    decoder: msgspec.json.Decoder[Order] = msgspec.json.Decoder(Order)
    zygote = os.getpid()
    pending = b""
    while True:
        for key, _ in selector.select():
            if key.fileobj is woken:
                with contextlib.suppress(BlockingIOError):
                    woken.recv(4096)
                _reap(control)
                continue
            received = control.recv(CONTROL_LINE_BYTES)
            if not received:
                return None
            *lines, pending = (pending + received).split(b"\n")
            for line in lines:
                order = decoder.decode(line)
                if isinstance(order, Preload):
                    _preload(order)
                    _report(control, Loaded())
                elif pid := os.fork():
                    _report(control, Forked(order.name, pid))
                else:
                    die_with_parent(zygote, signal.SIGKILL)
                    return order


def _preload(order: Preload) -> None:
    for module in order.modules:
        importlib.import_module(module)
    # What was imported is not garbage, and pages that the collector never touches stay shared with the children.
    gc.collect()
    gc.freeze()


def _become(order: Fork) -> NoReturn:
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        log = os.open(order.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
        os.environ.clear()
        os.environ.update(order.environment)
        sys.argv = [order.module]
        importlib.import_module(order.module).main()
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        if isinstance(stop.code, str):
            sys.stderr.write(stop.code + "\n")  # as the interpreter does at the end of a program
    except BaseException:  # noqa: BLE001 - the last frame of a process: it is reported and the process ends
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _reap(control: socket.socket) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        _report(control, Ended(pid, os.waitstatus_to_exitcode(status)))


def _report(control: socket.socket, report: Report) -> None:
    control.sendall(msgspec.json.encode(report) + b"\n")
