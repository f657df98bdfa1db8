"""`python -m tests.crash.mutant NAME [--instance ...]`: the executor with a planted bug."""

import sys

from executor.executor import work
from shm.codes import Role
from shm.stage import main
from tests.crash.planted import plant

if __name__ == "__main__":
    plant(sys.argv.pop(1))
    main(Role.EXECUTOR, lambda stage: stage.run_async(work))
