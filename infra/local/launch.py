"""Become another program that ends with its parent: `python -IS launch.py <parent> <signal> <uid> <gid> program …`.

A program of its own because PR_SET_PDEATHSIG (prctl(2)) is cleared by a change of user and must be set after the fork:
`preexec_fn` would run Python in a forked copy of a process that has threads.
"""

import ctypes
import os
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int, signal_number: int) -> None:
    """Have the kernel send `signal_number` when the parent ends; end now if it has ended already."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    if os.getppid() != parent:
        os._exit(1)


def main() -> None:
    """Drop to the user given (-1: stay), bind to the parent's life, and execute the rest of the command line."""
    parent, signal_number, user, group = (int(argument) for argument in sys.argv[1:5])
    if user >= 0:
        os.setgroups([group])
        os.setgid(group)
        os.setuid(user)
    die_with_parent(parent, signal_number)
    program = sys.argv[5:]
    os.execv(program[0], program)  # noqa: S606 - to become the program is the whole purpose


if __name__ == "__main__":
    main()
