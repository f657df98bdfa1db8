"""`python -m ingest`: the stage that turns venue bytes into books."""

from ingest.feed import work
from shm.codes import Role
from shm.stage import Stage, main


def _body(stage: Stage) -> None:
    stage.run_async(work)


if __name__ == "__main__":
    main(Role.INGEST, _body)
