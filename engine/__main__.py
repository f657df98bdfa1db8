"""`python -m engine`: the stage that turns books into signals."""

from engine.engine import work
from shm.codes import Role
from shm.stage import main

if __name__ == "__main__":
    main(Role.ENGINE, work)
