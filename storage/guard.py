"""Runs one server for as long as somebody uses it: `python guard.py USERS COMMAND...`.

A script of its own, started by `embedded.py`. Whoever uses the server holds a shared lock on the
file USERS; the kernel lets go of it however a process ends. The guard waits for the exclusive lock
and then ends the server, so that none outlives the last `kill -9`. A death signal from the kernel
(PR_SET_PDEATHSIG) would follow the thread that started the server, not its users, and needs code
between fork and exec in a process that has threads.
"""

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

PATIENCE_S = 3


def main(users: str, *command: str) -> None:
    """Start `command` in a session of its own and return; a copy of this process stays with it."""
    if os.fork():
        return
    os.setsid()
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603 -- `embedded.py` is the only caller
    signal.signal(signal.SIGCHLD, lambda *_: os._exit(0))
    if server.poll() is not None:
        return
    with Path(users).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        server.terminate()
        try:
            server.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
