"""A writer under orders: one process that holds ingest's role and does what standard input says.

    python -m tests.proof.writer INSTANCE

Orders are lines; each is answered by one line when it has been carried out, so that a process that
has answered stands between two operations. `lose` closes the descriptor of the role's lock, which
is the defect that the epoch exists for; `write NUMBER` publishes the number in every way there is.
"""

import os
import sys

from shm.backend import DirtyMarker, LatchWriter, RingProducer
from shm.codes import Role
from shm.errors import FencedError
from shm.fabric import Fabric, find_section
from shm.roles import RoleHolder, RoleLock

ROW = 5


def payload(number: int, size: int) -> bytes:
    """A payload that is full of its number."""
    return number.to_bytes(8, "little") * (size // 8)


class Writer:
    """The role, and every end that a writer has."""

    def __init__(self, instance: str) -> None:
        self.lock = RoleLock(instance, Role.INGEST)
        self.lock.take()
        fabric = Fabric(instance, Role.INGEST)
        self.holder = RoleHolder(fabric.segment("control", writable=True), Role.INGEST)
        fence = self.holder.fence
        plan, ring = find_section("updates")
        view = fabric.segment(plan.name, writable=True).view
        stride = ring.section.stride_bytes
        self.message_bytes = ring.section.payload_bytes
        self.producer = RingProducer(view, ring.offset, stride, ring.section.rows, fence)
        marks, seen = plan.placed["dirty"], plan.placed["dirty_seen"]
        self.marker = DirtyMarker(view, marks.offset, seen.offset, fence)
        plan, books = find_section("books")
        self.row_bytes = books.section.payload_bytes
        view = fabric.segment(plan.name, writable=True).view
        self.books = LatchWriter(view, books.offset, self.row_bytes, books.section.rows, fence)

    def write(self, number: int) -> str:
        """Publish in every way; which of them were refused."""
        message = payload(number, self.message_bytes)
        acts = {
            "row": lambda: self.books.write(ROW, payload(number, self.row_bytes)),
            "push": lambda: self.producer.try_push(message),
            "push_many": lambda: self.producer.push_many(message * 2),
            "mark": lambda: self.marker.mark(number),
            "check": self.holder.fence.check,
        }
        refused = []
        for name, act in acts.items():
            try:
                act()
            except FencedError:
                refused.append(name)
        return ",".join(refused) or "nothing"


def main() -> None:
    """Obey until the input ends."""
    writer = Writer(sys.argv[1])
    sys.stdout.write(f"epoch {writer.holder.epoch}\n")
    sys.stdout.flush()
    for line in sys.stdin:
        match line.split():
            case ["write", number]:
                answer = f"refused {writer.write(int(number))}"
            case ["lose"]:
                os.close(writer.lock._fd)
                answer = "lost"
            case _:
                raise AssertionError(line)
        sys.stdout.write(answer + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
