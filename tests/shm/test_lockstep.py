"""Model and compiled kernel in lock step over every operation, and mistakes that this catches."""

import inspect
import os
from types import ModuleType

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from shm import model
from tests.conftest import require_or_skip
from tests.shm.lockstep import ACTS_MAX, Rings, Tables

pytestmark = pytest.mark.contract

try:
    from shm import native
except ImportError:
    native = None

EXAMPLES = 5_000 if os.environ.get("POLYTRIO_SOAK") == "long" else 150
THOROUGH = settings(max_examples=EXAMPLES, stateful_step_count=ACTS_MAX, deadline=None)
HUNT = settings(
    max_examples=500,
    stateful_step_count=ACTS_MAX,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
machines = pytest.mark.parametrize("machine", [Rings, Tables], ids=lambda m: m.__name__)


def test_ci_compares_with_the_compiled_kernel():
    require_or_skip(native is not None, "the compiled kernel")


@machines
def test_both_kernels_do_the_same_and_what_they_should(machine):
    require_or_skip(native is not None, "the compiled kernel")
    both = type(machine.__name__, (machine,), {"kernels": (model, native)})
    run_state_machine_as_test(both, settings=THOROUGH)


@machines
def test_the_model_alone_does_what_it_should(machine):
    run_state_machine_as_test(machine, settings=THOROUGH)


def test_every_operation_of_the_rings_and_tables_is_driven():
    """A method that somebody adds to a kernel has to be added to a machine, too."""
    driven = inspect.getsource(inspect.getmodule(Rings))
    for name in ("RingProducer", "RingConsumer", "RingTail", "LatchWriter", "LatchReader",
                 "DirtyMarker", "DirtyTaker", "Words", "Fence"):  # fmt: skip
        assert f".{name}(" in driven, name
        for method in vars(getattr(model, name)):
            if not method.startswith("_"):
                assert f".{method}" in driven, f"{name}.{method}"
    assert ".take_role(" in driven


# --- planted mistakes: the model with one line spoilt ---------------------------------------------

RELEASE = "self._consumer[0] = self.position"
LOOK = "self._fence.check()"
FULL = "- self._read_cache > self._mask"
COMMIT = "= self.position + 1"
CHANGED = "(self._marks[word] ^ self._seen[word]) & bit"

MISTAKES = {
    "forgets to release": (Rings, "RingConsumer.pop", RELEASE, "pass"),
    "forgets to release a batch": (Rings, "RingConsumer.pop_many", RELEASE, "pass"),
    "takes one too many": (Rings, "RingConsumer.pop_many", "< most", "<= most"),
    "leaves a sleeper's flag": (
        Rings,
        "RingConsumer.__init__",
        "_waiter[0] = 0",
        "_waiter[0] *= 1",
    ),
    "waits for ever": (Rings, "RingConsumer.wait", "return True", "return False"),
    "does not roll forward": (Rings, "RingProducer.__init__", "position += 1", "break"),
    "opens a ring of another": (Rings, "RingProducer.__init__", "fence.check()", "pass"),
    "overwrites the last slot": (Rings, "RingProducer.try_push", FULL, FULL + " + 1"),
    "does not count a full ring": (Rings, "RingProducer.try_push", "[2] += 1", "[2] += 0"),
    "pushes for another": (Rings, "RingProducer.try_push", LOOK, "pass"),
    "counts in 32 bits": (Rings, "RingProducer.try_push", COMMIT, COMMIT + " & 2**32 - 1"),
    "counts in 63 bits": (Rings, "RingProducer.try_push", COMMIT, COMMIT + " & 2**63 - 1"),
    "wakes for each message": (Rings, "RingProducer.push_many", "wake=False", "wake=wake"),
    "wakes nobody": (Rings, "RingProducer._wake", "+= 1", "+= 0"),
    "shows what is overwritten": (Rings, "RingTail.peek", "+ self._mask", "+ self._mask + 1"),
    "writes the copy in use": (Tables, "LatchWriter.write", "sequence + 1)", "sequence)"),
    "skips a version": (Tables, "LatchWriter.write", "= sequence + 1", "= sequence + 3"),
    "writes for another": (Tables, "LatchWriter.write", LOOK, "pass"),
    "remembers no version": (Tables, "LatchReader.read", "self.seen = sequence", "pass"),
    "flips a mark back": (Tables, "DirtyMarker.mark", CHANGED, "False"),
    "marks for another": (Tables, "DirtyMarker.mark", LOOK, "pass"),
    "takes the first marks only": (Tables, "DirtyTaker.take", "range(DIRTY_WORDS)", "range(1)"),
    "counts on beyond 64 bits": (Tables, "Words.add", "& _WORD_MASK", "& 2**63 - 1"),
    "never sees the epoch move": (Tables, "Fence.check", "self._word[0] != self.epoch", "False"),
    "raises the epoch by two": (Tables, "take_role", '["epoch"]] + 1', '["epoch"]] + 2'),
    "forgets whose role it is": (Tables, "take_role", '["pid"]] = pid', '["pid"]] = 0'),
}


def spoilt_model(place: str, right: str, wrong: str) -> ModuleType:
    """The model with the first `right` in a function replaced."""
    target: object = model
    for name in place.split("."):
        target = getattr(target, name)
    function = inspect.getsource(target)
    assert right in function, f"{place} has no {right}"
    spoilt = ModuleType("spoilt")
    source = inspect.getsource(model).replace(function, function.replace(right, wrong, 1))
    exec(compile(source, "spoilt model", "exec"), spoilt.__dict__)
    return spoilt


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_planted_mistake_is_caught(mistake):
    machine, place, right, wrong = MISTAKES[mistake]
    kernels = (model, spoilt_model(place, right, wrong))
    spoilt = type(machine.__name__, (machine,), {"kernels": kernels})
    with pytest.raises((AssertionError, ValueError)):
        run_state_machine_as_test(spoilt, settings=HUNT)
