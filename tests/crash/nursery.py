"""A process that has imported the executor and forks one whenever it is told: a start in 20 ms.

    stdin   {"environment": {...}, "log": path}   one line for each start
    stdout  {"born": pid} and, when it has ended, {"ended": pid, "code": n}

What is forked is the executor as `python -m executor` runs it, from its command line on. With the
name of a planted bug as its argument it forks mutants (tests/crash/planted.py).
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

from executor import reconciling
from executor.executor import work
from shm.codes import Role
from shm.stage import main

QUICK_S = 0.05


def hurry() -> None:
    """Pauses between questions to the venue that are only there to be polite."""
    reconciling.RETRY_S = QUICK_S
    reconciling.AGAIN_S = 4 * QUICK_S


def become_executor(order: dict, instance: str) -> None:
    """In the child: the executor's process, with this environment."""
    os.environ.update(order["environment"])
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for fd in (1, 2):
        os.dup2(log, fd)
    random.seed()
    sys.argv = ["executor", "--instance", instance]
    code = 1
    try:
        main(Role.EXECUTOR, lambda stage: stage.run_async(work))
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
                    become_executor(json.loads(line), instance)
                say(born=pid)


if __name__ == "__main__":
    hurry()
    if len(sys.argv) > 2:
        from tests.crash.planted import plant

        plant(sys.argv[2])
    nurse(sys.argv[1])
