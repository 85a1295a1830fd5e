"""Becomes another program, tied to the life of the process that asked for it.

Run as a script by `process.py`: `python -I -S launch.py [options] -- program argument...`. It stays one small
single-threaded process until `exec`, which is what a new user namespace needs and what a `preexec_fn` in a
process with threads cannot promise.
"""

import argparse
import ctypes
import os
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1
CLONE_NEWUSER = 0x10000000
NOBODY = 65534
CANNOT_START = 127


def die_with(parent: int, signal_number: int) -> None:
    """Get a signal when the parent dies; Linux only, elsewhere the next start ends what was left over."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
    if os.getppid() != parent:  # it died before the call above
        os._exit(CANNOT_START)


def mask_root() -> None:
    """Enter a user namespace in which this user is `nobody`: PostgreSQL refuses to run as root.

    Outside of it files still belong to root, so that no folder needs another owner or wider permissions.
    """
    user, group = os.geteuid(), os.getegid()
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWUSER) != 0:
        sys.exit(f"unshare: {os.strerror(ctypes.get_errno())}")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{NOBODY} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{NOBODY} {group} 1")


def become_nobody() -> None:
    """Give up root for good: what is left where user namespaces are not allowed."""
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


def main() -> None:
    """Prepare this process as asked and become the program."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--signal", type=int, default=int(signal.SIGKILL))
    parser.add_argument("--identity", choices=("same", "mask", "nobody"), default="same")
    parser.add_argument("program", nargs="+")
    options = parser.parse_args()
    if options.identity == "mask":
        mask_root()
    elif options.identity == "nobody":
        become_nobody()
    # Last, because a change of identity clears it.
    die_with(options.parent, options.signal)
    try:
        os.execv(options.program[0], options.program)  # noqa: S606 - to run a program is its purpose
    except OSError as error:
        print(f"{options.program[0]}: {error}", file=sys.stderr)  # noqa: T201 - the log of the child
        sys.exit(CANNOT_START)


if __name__ == "__main__":
    main()
