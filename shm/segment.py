"""One segment's life: made whole and put in place at once, attached only if it is what we expect.

Making: the file is built under a temporary name (space allocated, schema and header written,
magic last) and then linked to its final name. A segment under its final name is therefore always
complete, whatever was killed when. Attaching never passes a size: asking POSIX for a size
truncates the segment of the others.

Mode is 0600, nothing secret is ever stored, and no stage unlinks: segments outlive all stages.
"""

import errno
import mmap
import os
import re
import secrets
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import posix_ipc

from shm.errors import (
    LayoutMismatch,
    SegmentError,
    SegmentExists,
    SegmentMissing,
    SegmentNoRoom,
    SegmentOrphaned,
)
from shm.layout import HEADER, Header
from shm.process import boot_id, start_ticks
from shm.segments import APP, LAYOUT_HASH, SCHEMA_OFFSET, SegmentPlan, segment_name

SHM_ROOT = Path("/dev/shm")  # noqa: S108  # where Linux keeps POSIX shared memory
MAGIC = int.from_bytes(b"POLYTRIO", "little")
ENDIAN_TAG = 0x0102030405060708
MODE = 0o600
BUILDING = f"{APP}-building"
"""Start of the name under which a segment is made; see shm/leftovers.py."""
SCHEMA_BYTES_MAX = 1 << 20
_MAGIC_BYTES = 8
_CHECKSUM_AT = HEADER.offset_of["checksum"]
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.ENOMEM, errno.EFBIG}
_NAME = re.compile(
    rf"{APP}\.(?P<instance>[a-z0-9-]+)\.(?P<segment>[a-z0-9-]+)\.(?P<layout_id>[0-9a-f]{{8}})"
)


@dataclass(frozen=True)
class SegmentFile:
    """A segment's file as the directory shows it."""

    path: Path
    instance: str
    segment: str
    layout_id: str


def list_files(instance: str | None = None, root: Path = SHM_ROOT) -> Iterator[SegmentFile]:
    """Segments of every layout version, of one instance or of all, sorted by name."""
    for path in sorted(root.glob(f"{APP}.*")):
        match = _NAME.fullmatch(path.name)
        if match and instance in {None, match["instance"]}:
            yield SegmentFile(path, match["instance"], match["segment"], match["layout_id"])


class Segment:
    """A mapped segment. `view` is the whole of it, read-only unless attached for writing."""

    def __init__(self, name: str, fd: int, view: memoryview, header: Header) -> None:
        self.name = name
        self.view = view
        self.header = header
        self._fd = fd

    def __del__(self) -> None:
        """Give the descriptor back; the mapping lives as long as there are views of it."""
        os.close(self._fd)

    def touch(self) -> None:
        """Bring every page into this process now, so that no later access waits for it."""
        for page in range(0, self.view.nbytes, mmap.PAGESIZE):
            self.view[page]

    def require_named(self) -> None:
        """Raise `SegmentOrphaned` when the name no longer leads to what we have mapped.

        An unlinked segment keeps working for those who hold it, while newcomers make another one:
        two worlds. Whoever notices leaves. So does who finds it cut: what was there is gone, and
        touching it is death by SIGBUS.
        """
        status = os.fstat(self._fd)
        if status.st_size != self.header.total_bytes:
            raise LayoutMismatch(
                f"segment {self.name} was cut to {status.st_size} bytes{_remedy(self.name)}"
            )
        if status.st_nlink == 0:
            raise SegmentOrphaned(
                f"segment {self.name} was removed while in use: restart the system "
                "(supervisor.py up, or polytrio run) to make a new one"
            )


def create(instance: str, plan: SegmentPlan) -> None:
    """Make one segment, zeroed and complete; `SegmentExists` if the name is taken.

    `SegmentNoRoom` here, at start, if /dev/shm is full: memory is allocated now, since a page that
    turns out to be missing later kills the process that touches it.
    """
    name = segment_name(instance, plan.name)
    try:
        _create(name, instance, plan)
    except FileExistsError:
        raise SegmentExists(f"segment {name} is there already{_remedy(name)}") from None
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise SegmentError(f"segment {name} cannot be made: {error}") from error
        place = os.statvfs(SHM_ROOT)
        raise SegmentNoRoom(
            f"{SHM_ROOT} has no room for segment {name}: it needs {plan.total_bytes} bytes, "
            f"{place.f_bavail * place.f_frsize} are free; remove what is not needed there "
            "(`python -m shm list` shows ours), or enlarge it (docker run --shm-size=64m)"
        ) from None


def _create(name: str, instance: str, plan: SegmentPlan) -> None:
    temporary = f"/{BUILDING}.{os.getpid()}.{secrets.token_hex(8)}"
    memory = posix_ipc.SharedMemory(temporary, posix_ipc.O_CREX, mode=MODE)
    try:
        try:
            os.fchmod(memory.fd, MODE)  # whatever the umask says
            os.posix_fallocate(memory.fd, 0, plan.total_bytes)
            _write_head(memory.fd, instance, plan)
        finally:
            memory.close_fd()
        os.link(_path(temporary), _path(name))
    finally:
        posix_ipc.unlink_shared_memory(temporary)


def _write_head(fd: int, instance: str, plan: SegmentPlan) -> None:
    header = Header(
        magic=0,
        header_bytes=HEADER.size,
        total_bytes=plan.total_bytes,
        schema_offset=SCHEMA_OFFSET,
        schema_bytes=len(plan.schema),
        data_offset=plan.data_offset,
        created_wall_ns=time.time_ns(),
        creator_pid=os.getpid(),
        creator_start_ticks=start_ticks(os.getpid()),
        endian_tag=ENDIAN_TAG,
        checksum=0,
        layout_hash=LAYOUT_HASH,
        boot_id=boot_id(),
        segment=plan.name.encode(),
        instance=instance.encode(),
    )
    head = HEADER.pack(header).ljust(SCHEMA_OFFSET, b"\0")
    head = HEADER.pack(header._replace(checksum=_checksum(head, plan.schema)))
    with mmap.mmap(fd, plan.total_bytes) as mapping:
        mapping[SCHEMA_OFFSET : SCHEMA_OFFSET + len(plan.schema)] = plan.schema
        mapping[_MAGIC_BYTES : HEADER.size] = head[_MAGIC_BYTES:]
        mapping[:_MAGIC_BYTES] = MAGIC.to_bytes(_MAGIC_BYTES, "little")


def _checksum(head: bytes, schema: bytes) -> int:
    """CRC-32 of all bytes before the schema, and of it; magic and the sum itself count as zeros."""
    summed = bytearray(head)
    summed[:_MAGIC_BYTES] = bytes(_MAGIC_BYTES)
    summed[_CHECKSUM_AT : _CHECKSUM_AT + 8] = bytes(8)
    return zlib.crc32(schema, zlib.crc32(summed))


def _path(name: str) -> Path:
    return SHM_ROOT / name.removeprefix("/")


def attach(instance: str, plan: SegmentPlan, *, writable: bool) -> Segment:
    """Map a segment of this build; `SegmentMissing` or `LayoutMismatch` say what is wrong."""
    name = segment_name(instance, plan.name)
    try:
        # The constructor opens read-write or read-only and, without a size, changes nothing.
        memory = posix_ipc.SharedMemory(name, read_only=not writable)
    except posix_ipc.ExistentialError:
        raise SegmentMissing(
            f"no segment {name}: start the system first (supervisor.py up, or polytrio run)"
        ) from None
    except posix_ipc.PermissionsError:
        raise LayoutMismatch(
            f"segment {name} belongs to another user: run as that user, or with another --instance"
        ) from None
    try:
        header, schema = read_head(name, memory.fd)
        _require_ours(name, header, schema, plan)
        access = mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ
        # Never closed: views of it are everywhere, and the exit of the process unmaps it.
        mapping = mmap.mmap(memory.fd, header.total_bytes, access=access)
    except BaseException:
        memory.close_fd()
        raise
    return Segment(name, memory.fd, memoryview(mapping), header)


def read_head(name: str, fd: int) -> tuple[Header, bytes]:
    """Header and schema of any version's segment, checked for damage; `LayoutMismatch` if bad."""
    size = os.fstat(fd).st_size
    if size < SCHEMA_OFFSET:
        raise LayoutMismatch(f"segment {name} is cut short ({size} bytes){_remedy(name)}")
    head = os.pread(fd, SCHEMA_OFFSET, 0)
    header = HEADER.unpack(head)
    if header.magic != MAGIC:
        raise LayoutMismatch(f"segment {name} has no polytrio header{_remedy(name)}")
    if header.endian_tag != ENDIAN_TAG or header.header_bytes != HEADER.size:
        raise LayoutMismatch(f"segment {name} has another header format{_remedy(name)}")
    if size != header.total_bytes:
        raise LayoutMismatch(
            f"segment {name} is {size} bytes, its header says {header.total_bytes}{_remedy(name)}"
        )
    if header.schema_offset + header.schema_bytes > size:
        raise LayoutMismatch(f"segment {name} has its schema outside itself{_remedy(name)}")
    if header.schema_bytes > SCHEMA_BYTES_MAX:
        raise LayoutMismatch(f"segment {name} has an impossible schema{_remedy(name)}")
    schema = os.pread(fd, header.schema_bytes, header.schema_offset)
    if _checksum(head, schema) != header.checksum:
        raise LayoutMismatch(f"segment {name} has a damaged header{_remedy(name)}")
    return header, schema


def _require_ours(name: str, header: Header, schema: bytes, plan: SegmentPlan) -> None:
    expected = (LAYOUT_HASH, plan.total_bytes, plan.data_offset, plan.schema)
    if (header.layout_hash, header.total_bytes, header.data_offset, schema) != expected:
        raise LayoutMismatch(f"segment {name} was made by another version{_remedy(name)}")
    if header.boot_id != boot_id():
        raise LayoutMismatch(f"segment {name} was made before the last boot{_remedy(name)}")
    held = header.instance.rstrip(b"\0"), header.segment.rstrip(b"\0")
    if held != (_instance_of(name).encode(), plan.name.encode()):
        raise LayoutMismatch(f"segment {name} is a copy of {held[1]!r}{_remedy(name)}")


def _instance_of(name: str) -> str:
    return name.removeprefix("/").split(".")[1]


def _remedy(name: str) -> str:
    return f": stop the system, then run `python -m shm destroy --instance {_instance_of(name)}`"


def destroy(file: SegmentFile) -> None:
    """Remove a segment's name. The caller has made sure that nobody needs it."""
    try:
        with suppress(FileNotFoundError):
            file.path.unlink()
    except PermissionError:
        raise LayoutMismatch(
            f"segment {file.path.name} belongs to another user: only that user can remove it"
        ) from None
