"""`python -m executor`: the stage that turns signals into orders and fills into positions."""

from executor.executor import work
from executor.keyfile import password_left_at
from shm.codes import Role
from shm.secrecy import harden
from shm.stage import Stage, main


def _body(stage: Stage) -> None:
    password_left_at(stage.password_fd)
    stage.run_async(work)


if __name__ == "__main__":
    harden()
    main(Role.EXECUTOR, _body)
