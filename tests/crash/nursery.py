"""A process that has imported executor and killer and forks one whenever it is told, in 20 ms.

    stdin   {"role": "executor", "environment": {...}, "log": path}   one line for each start
    stdout  {"born": pid} and, when it has ended, {"ended": pid, "code": n}

What is forked is the stage as `python -m executor` (or `executor.killer`) runs it, from its command
line on. What a start would import from here on has been imported: that is half of a short life.
With the name of a planted bug as its argument it forks mutants (tests/crash/planted.py).
"""

import contextlib
import gc
import json
import os
import random
import select
import signal
import sys
import threading
from collections.abc import Awaitable, Callable

import uvloop

from executor import executor, killer, reconciling
from shm import backend
from shm.codes import Role
from shm.stage import KILL_SIGNAL, Stage, main

QUICK_S = 0.05
LIVES: dict[str, tuple[Role, Callable[[Stage], Awaitable[None]]]] = {
    "executor": (Role.EXECUTOR, executor.work),
    "killer": (Role.KILLER, killer.work),
}


def hurry() -> None:
    """Pauses between questions to the venue that are only there to be polite."""
    reconciling.RETRY_S = QUICK_S
    reconciling.AGAIN_S = 4 * QUICK_S


def import_the_rest() -> None:
    """What a stage imports only when it runs."""
    assert uvloop.__version__
    for name in ("executor.native", "executor.pen"):
        if backend.NATIVE:
            backend.compiled(name)


def become(order: dict, instance: str) -> None:
    """In the child: the stage's process, with this environment."""
    role, work = LIVES[order["role"]]
    os.environ.update(order["environment"])
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for fd in (1, 2):
        os.dup2(log, fd)
    random.seed()
    sys.argv = [order["role"], "--instance", instance]
    code = 1
    try:
        main(role, lambda stage: stage.run_async(work))
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:  # noqa: BLE001  # told as the interpreter would tell it
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(code)


def say(**what: int) -> None:
    """A line to whoever started us."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def nurse(instance: str) -> None:
    """Fork and bury until stdin ends."""
    assert threading.active_count() == 1, "a fork copies one thread only"
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_BLOCK, {KILL_SIGNAL})  # as a supervisor does
    gc.collect()
    gc.freeze()
    pending = b""
    while True:
        ready, _, _ = select.select([0, wake_read], [], [])
        if wake_read in ready:
            os.read(wake_read, 512)
            with contextlib.suppress(ChildProcessError):
                while (found := os.waitpid(-1, os.WNOHANG))[0]:
                    say(ended=found[0], code=os.waitstatus_to_exitcode(found[1]))
        if 0 in ready:
            piece = os.read(0, 65_536)
            if not piece:
                return
            *lines, pending = (pending + piece).split(b"\n")
            for line in lines:
                pid = os.fork()
                if pid == 0:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    os.close(0)
                    os.close(wake_read)
                    os.close(wake_write)
                    os.open(os.devnull, os.O_RDONLY)
                    become(json.loads(line), instance)
                say(born=pid)


if __name__ == "__main__":
    hurry()
    import_the_rest()
    if len(sys.argv) > 2:
        from tests.crash.planted import plant

        plant(sys.argv[2])
    nurse(sys.argv[1])
