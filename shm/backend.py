"""Which implementation of the shared-memory protocols runs here: compiled, or the Python model.

The compiled one is taken when it is there and was built from this very layout. Without it the
pipeline still runs on x86 (slower, and with a loud notice); `POLYTRIO_PYTHON=1` asks for that on
purpose, which tests use.
"""

import importlib
import os
import platform
from typing import TYPE_CHECKING, Any

from shm import model
from shm.errors import LayoutMismatch, LiveRefused, SegmentError
from shm.segments import LAYOUT_ID

if TYPE_CHECKING:
    from shm import model as chosen  # a test holds the two interfaces together
else:
    try:
        from shm import native as _native
    except ImportError:
        _native = None
    if os.environ.get("POLYTRIO_PYTHON") == "1":
        _native = None
    chosen = model if _native is None else _native

NATIVE = chosen is not model

DirtyMarker = chosen.DirtyMarker
DirtyTaker = chosen.DirtyTaker
Fence = chosen.Fence
HistogramWriter = chosen.HistogramWriter
LatchReader = chosen.LatchReader
LatchWriter = chosen.LatchWriter
RingConsumer = chosen.RingConsumer
RingProducer = chosen.RingProducer
RingTail = chosen.RingTail
Words = chosen.Words
die_with_parent = chosen.die_with_parent
take_role = chosen.take_role


def compiled(name: str) -> Any:
    """A compiled module that is built together with the kernel; refused if it was not."""
    module = importlib.import_module(name)
    if module.LAYOUT_ID != LAYOUT_ID:
        raise LayoutMismatch(
            f"{name} was compiled for layout {module.LAYOUT_ID}, the code says {LAYOUT_ID}: run "
            "`make setup` again"
        )
    return module


def notice() -> str:
    """One line for people: what runs, and what to do about it if it is the slow one."""
    if NATIVE:
        return f"compiled kernels, layout {LAYOUT_ID}"
    return (
        "WARNING: PYTHON MODE. The compiled kernels are missing: everything works, much slower, "
        "and live trading is refused. Install a C compiler (gcc) and run `make clean setup`."
    )


def require_usable(*, live: bool = False) -> None:
    """Refuse a kernel of another layout, and the Python model with real money or where it is wrong.

    Stale books cost nothing on paper; `live` says that it is not paper.
    """
    if chosen.LAYOUT_ID != LAYOUT_ID:
        raise LayoutMismatch(
            f"the compiled kernel was built for layout {chosen.LAYOUT_ID}, the code says "
            f"{LAYOUT_ID}: run `make setup` again"
        )
    if live and not NATIVE:
        raise LiveRefused(
            'execution = "live" needs the compiled kernels, and this is PYTHON MODE: install a C '
            'compiler (gcc) and run `make clean setup`, or set execution = "paper"'
        )
    if not NATIVE and platform.machine() not in {"x86_64", "AMD64", "i686"}:
        raise SegmentError(
            f"python mode is not correct on {platform.machine()} (weak memory order): "
            "install a C compiler and run `make clean setup`"
        )
