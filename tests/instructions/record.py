"""Renews the record for this architecture and compiler: `python -m tests.instructions.record`."""

import json
import sys
import tempfile
from pathlib import Path

from tests.instructions.counting import RECORD, THINGS, compiler, instructions, record


def main() -> None:
    """Count everything, say what changed, and write the record."""
    everything, here = record(), compiler()
    before = everything.get(here, {})
    with tempfile.TemporaryDirectory() as folder:
        counts = {thing.name: instructions(thing, Path(folder)) for thing in THINGS}
    for name, count in counts.items():
        old = before.get(name)
        change = f" ({count / old - 1:+.1%})" if old else ""
        sys.stdout.write(f"{here}, {name}: {count:,} instructions{change}\n")
    everything[here] = counts
    RECORD.write_text(json.dumps(everything, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
