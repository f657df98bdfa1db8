"""The same kernel on aarch64: it works there, and the compiler made of each order what it must.

qemu's user mode runs the cross-built thread harness. That shows function only: on an x86 host it
keeps the host's strong order. That the order is asked of the processor is read in the disassembly:
a load-acquire must be `ldar`, a store-release `stlr`, a fence `dmb`.
"""

import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import require_or_skip
from tests.proof.compiling import compiled
from tests.proof.deaths import Broken, require

pytestmark = pytest.mark.proof

CROSS = "aarch64-linux-gnu-gcc"
OBJDUMP = "aarch64-linux-gnu-objdump"
ORDERING = {"ldar", "ldapr", "stlr", "dmb ish", "dmb ishld", "isb"}

EXPECTED: dict[str, list[str]] = {
    "one_load": ["ldar"],
    "one_relaxed_load": ["ldr"],
    "one_store": ["stlr"],
    "one_relaxed_store": ["str"],
    "one_acquire_fence": ["dmb ishld"],
    "one_release_fence": ["dmb ish"],
    "one_full_fence": ["dmb ish"],
    "one_relax": ["isb"],
    # The consumer's position; the epoch; the hint before the bytes; the epoch; the commit word.
    "ring_push": ["ldar", "ldar", "dmb ish", "str", "ldar", "stlr", "str"],
    # The commit before the flag is looked at.
    "ring_wake": ["dmb ish", "ldr", "stlr"],
    # The commit word before the bytes; the bytes before the slot is given back.
    "ring_pop": ["ldar", "ldr", "str", "stlr"],
    # The commit word, the bytes, a fence, the hint.
    "ring_peek": ["ldar", "ldr", "str", "dmb ishld", "ldr"],
    # The epoch; the last publication before its old copy is spoilt; the epoch; the sequence.
    "latch_write": ["ldar", "dmb ish", "str", "ldar", "stlr"],
    # The sequence, the bytes, a fence, the sequence again.
    "latch_read": ["ldar", "ldr", "str", "dmb ishld", "ldr", "isb"],
    # The epoch; the book before the look at what was taken; the mark.
    "dirty_mark": ["ldar", "dmb ish", "ldr", "ldr", "stlr"],
    # The marks; what was taken before the books are read.
    "dirty_take": ["ldar", "ldr", "stlr", "dmb ish"],
}
"""Per function of exported.c what must appear in this order; of the ordering ones, nothing else."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("aarch64")


def instructions(folder: Path, *flags: str) -> dict[str, list[str]]:
    """Function -> its instructions without operands, `dmb` with its own."""
    require_or_skip(shutil.which(OBJDUMP) is not None, OBJDUMP)
    made = compiled(folder, "exported.c", "-c", *flags, compiler=CROSS)
    text = subprocess.run(
        [OBJDUMP, "-d", "--no-show-raw-insn", str(made)], capture_output=True, text=True, check=True
    ).stdout
    found: dict[str, list[str]] = {}
    function: list[str] = []
    for line in text.splitlines():
        if begin := re.fullmatch(r"[0-9a-f]+ <(\w+)>:", line):
            function = found.setdefault(begin[1], [])
        elif step := re.match(r" +[0-9a-f]+:\t(\w+)(?:\t(\w+))?", line):
            function.append(f"dmb {step[2]}" if step[1] == "dmb" else step[1])
    return found


def check_orders(found: dict[str, list[str]]) -> None:
    """Every function asks the processor for exactly the orders it needs, where it needs them."""
    for function, expected in EXPECTED.items():
        steps = ["ldar" if step == "ldapr" else step for step in found[function]]
        asked = Counter(step for step in steps if step in ORDERING)
        wanted = Counter(step for step in expected if step in ORDERING)
        require(asked == wanted, f"{function} has {dict(asked)}, and not {dict(wanted)}")
        rest = iter(steps)
        require(all(step in rest for step in expected), f"{function}: {expected} are not in order")


def test_every_order_is_asked_of_the_processor(folder):
    check_orders(instructions(folder))


@pytest.mark.parametrize(
    ("order", "function"),
    [
        ("ACQUIRE", "one_load"),
        ("RELEASE", "one_store"),
        ("SEQ_CST", "one_full_fence"),
    ],
)
def test_planted_a_build_without_one_of_the_orders_is_caught(folder, order, function):
    weak = [f"-U__ATOMIC_{order}", f"-D__ATOMIC_{order}=__ATOMIC_RELAXED"]
    with pytest.raises(Broken, match=f"{function} has"):
        check_orders(instructions(folder, *weak))


def test_planted_a_fence_in_the_wrong_place_is_caught():
    found = {name: list(steps) for name, steps in EXPECTED.items()}
    check_orders(found)
    found["latch_read"] = ["ldar", "dmb ishld", "ldr", "str", "ldr", "isb"]
    with pytest.raises(Broken, match=r"latch_read.*not in order"):
        check_orders(found)


@pytest.mark.parametrize("mode", ["ring", "latch", "dirty", "sleep", "peek"])
def test_the_kernel_works_on_aarch64(folder, mode):
    require_or_skip(shutil.which("qemu-aarch64") is not None, "qemu-aarch64")
    program = compiled(folder, "threads.c", "-pthread", "-static", compiler=CROSS)
    done = subprocess.run(
        ["qemu-aarch64", str(program), mode, "50000"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{mode}: 50000 as they must be\n"
