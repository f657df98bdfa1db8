"""What every test here ends with."""

from tests.executor.written import journals_end

__all__ = ["journals_end"]
