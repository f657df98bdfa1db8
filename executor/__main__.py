"""`python -m executor`: the stage that turns signals into orders and fills into positions."""

from executor.executor import work
from shm.codes import Role
from shm.stage import Stage, main


def _body(stage: Stage) -> None:
    stage.run_async(work)


if __name__ == "__main__":
    main(Role.EXECUTOR, _body)
