# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""The compiled engine: owns the memory of plans and core, and joins them to shared memory.

`Pricer` is the twin of engine/pricer.py, `Kernel` of engine/reference.py's `PythonCore`; they document the
interfaces. What is decided stands in walk.h, core.h and loop.h.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport UINT64_MAX, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset
from posix.mman cimport MAP_ANONYMOUS, MAP_FAILED, MAP_SHARED, PROT_READ, PROT_WRITE, mmap, munmap

from engine.core cimport (
    PT_DIRTY_WORDS, PT_E8_PER_E4, PT_FEE_TABLE, PT_LAYOUT_ID, PT_MARKETS_MAX, PT_MAX_LEGS,
    PT_PENDING_MAX, PT_TAPE_ENTRIES, PT_TAPE_REPORT, PT_TAPE_UPDATE, PT_TAPE_VERDICT,
    pt_basket, pt_basket_row, pt_best_order, pt_book, pt_core, pt_digest, pt_edge, pt_edge_of,
    pt_engine_stats, pt_entry, pt_fact, pt_follow_ingest, pt_hear, pt_leg, pt_look, pt_look_at_everything,
    pt_memory, pt_now_ns, pt_order, pt_pending, pt_plan, pt_release_overdue, pt_report, pt_retry,
    pt_role_row, pt_run, pt_seen, pt_show, pt_signal, pt_start_walk, pt_switches, pt_tape,
    pt_take_conflated, pt_take_update, pt_update, pt_wait_for_all, pt_wait_until, pt_walk,
)
from shm.native cimport (
    DirtyTaker, Fence, HistogramWriter, LatchReader, LatchWriter, RingConsumer, RingProducer, Words,
    fenced, pt_load, pt_store,
)

from engine.handover import Held, State, Waiter
from engine.pricer import NO_TOP, Edge, Top
from engine.walk import Order
from shm.codes import Outcome, Verdict
from shm.fees import fee_table_e8
from shm.layout import BOOK, REPORT, UPDATE
from shm.units import SHARE_E6

LAYOUT_ID = PT_LAYOUT_ID.decode()


include "plan.pxi"


cdef class Kernel(_Core):
    cdef LatchReader books
    cdef LatchWriter table
    cdef RingConsumer updates
    cdef RingConsumer reports
    cdef RingProducer signals
    cdef DirtyTaker dirty
    cdef Words roles
    cdef Words switches
    cdef Words counters
    cdef HistogramWriter frame_to_signal
    cdef HistogramWriter published_to_seen
    cdef HistogramWriter seen_to_signal

    def __dealloc__(self):
        self._end_tape()

    def __init__(self, settings, uint64_t epoch, parts):
        """`parts` are the ends of the segments that the engine holds, by name."""
        self.books = parts["books"]
        self.table = parts["baskets"]
        self.updates = parts["updates"]
        self.reports = parts["reports"]
        self.signals = parts["signals"]
        self.dirty = parts["dirty"]
        self.roles = parts["roles"]
        self.switches = parts["switches"]
        self.counters = parts["counters"]
        self.frame_to_signal = parts["frame_to_signal"]
        self.published_to_seen = parts["published_to_seen"]
        self.seen_to_signal = parts["seen_to_signal"]
        self._require_layout()
        self.core.epoch = epoch
        self._join(parts["ingest_row"])
        self.configure(settings)
        self._set_plan(Plan((), ()))

    cdef _require_layout(self):
        sizes = (
            self.books.copy_bytes == sizeof(pt_book) and self.books.count >= PT_MARKETS_MAX
            and self.table.copy_bytes == sizeof(pt_basket_row)
            and self.updates.ring.payload == sizeof(pt_update)
            and self.reports.ring.payload == sizeof(pt_report)
            and self.signals.ring.payload == sizeof(pt_signal)
            and 8 * self.counters.count >= sizeof(pt_engine_stats)
        )
        if not sizes:
            raise ValueError("the segments are not those of this layout")

    cdef _join(self, uint32_t ingest_row):
        cdef pt_core *core = self.core
        core.books = self.books.rows
        core.book_stride = self.books.stride
        core.baskets = self.table.rows
        core.basket_stride = self.table.stride
        core.updates = &self.updates.ring
        core.reports = &self.reports.ring
        core.signals = &self.signals.ring
        core.marks = self.dirty.mark_words
        core.marks_seen = self.dirty.seen_words
        core.fence = &self.signals.fence.fence
        core.ingest = &(<const pt_role_row *>self.roles.words)[ingest_row]
        core.switches = <const pt_switches *>self.switches.words
        core.stats = <pt_engine_stats *>self.counters.words
        core.frame_to_signal = self.frame_to_signal.histogram
        core.published_to_seen = self.published_to_seen.histogram
        core.seen_to_signal = self.seen_to_signal.histogram

    def configure(self, settings, uint64_t version=0):
        """Take over settings; between two calls of `step`."""
        cdef int64_t ms = 1_000_000
        self.core.settings_version = version
        self.core.limits.max_book_age_ns = settings.max_book_age_ms * ms
        self.core.limits.max_leg_skew_ns = settings.max_leg_skew_ms * ms
        self.core.limits.max_ingest_silence_ns = settings.max_ingest_silence_ms * ms
        self.core.limits.cooldown_ns = settings.cooldown_ms * ms
        self.core.limits.signal_wait_ns = settings.signal_wait_ms * ms
        self.core.limits.cap_e6 = settings.max_basket_shares * SHARE_E6
        self.core.limits.min_profit_usd_e6 = settings.min_profit_usd_e6
        self.core.limits.max_leg_loss_usd_e6 = settings.max_leg_loss_usd_e6
        self.core.limits.slippage_ticks = settings.slippage_ticks

    def prepare(self, baskets, hurdles_e8):
        if <size_t>len(baskets) > self.table.count:
            raise ValueError(f"{len(baskets)} baskets do not fit into the table")
        return Plan(baskets, hurdles_e8)

    def adopt(self, Plan plan, uint64_t generation):
        cdef uint32_t number
        cdef Plan old = self.plan
        for number in range(old.plan.baskets):
            if old.memory.cooling_until_ns[number]:
                place = plan.number_of.get(old.plan.basket[number].id)
                if place is not None:
                    plan.memory.cooling_until_ns[<uint32_t>place] = (
                        old.memory.cooling_until_ns[number]
                    )
        self._set_plan(plan)
        self.core.generation = generation
        pt_look_at_everything(self.core)
        pt_wait_for_all(self.core)
        if self.core.tape != NULL:
            self.core.tape.lost = True

    def step(self, uint64_t spins, uint64_t turn_ns, *, bint may_sleep):
        cdef uint64_t done
        with nogil:
            done = pt_run(self.core, pt_now_ns() + turn_ns, spins, may_sleep)
        if done == UINT64_MAX:
            raise fenced(self.signals.fence)
        return done

    def verdict(self, uint32_t number):
        if number >= self.core.plan.baskets:
            raise IndexError(number)
        return Verdict(self.core.memory.verdict[number])

    # --- for another core -----------------------------------------------------------------------

    def state(self, *, bint books=False):
        """What another core needs to go on from here; see engine/handover.py."""
        cdef uint32_t row, place, number
        cdef pt_plan *plan = self.plan.plan
        cdef pt_memory *memory = &self.core.memory
        numbers = range(plan.baskets)
        queue = [self.core.memory.queue[place] for place in range(self.core.waiting)]
        return State(
            self.core.signal_count,
            self.core.ingest_epoch,
            {plan.basket[n].id: memory.cooling_until_ns[n] for n in numbers
             if memory.cooling_until_ns[n]},
            {plan.basket[n].id: memory.tries[n] for n in numbers if memory.tries[n]},
            [self._held(place) for place in range(PT_PENDING_MAX)
             if self.core.pending[place].signal],
            {row: self.core.held[row] for row in range(PT_MARKETS_MAX) if self.core.held[row]},
            [Waiter(plan.basket[n].id, memory.due_ns[n], memory.tries[n]) for n in queue],
            self._books() if books else {},
        )

    cdef _held(self, uint32_t place):
        cdef pt_pending *one = &self.core.pending[place]
        versions = {one.row[i]: one.version[i] for i in range(one.legs)}
        return Held(one.signal, one.basket, one.created_ns, one.reported_ns, versions, place)

    cdef _books(self):
        cdef uint32_t row
        found = {}
        for row in range(PT_MARKETS_MAX):
            if self.plan.plan.fact[row].key and self.core.seen[row].version:
                found[row] = (
                    self.core.seen[row].version,
                    PyBytes_FromStringAndSize(<char *>&self.core.seen[row].book, sizeof(pt_book)),
                )
        return found

    def restore(self, state):
        """Go on from where another core has stopped; after `adopt`."""
        cdef uint32_t place, i
        cdef pt_pending *one
        self.core.signal_count = state.signal_count
        for basket, until_ns in state.cooling.items():
            number = self.plan.number_of.get(basket)
            if number is not None:
                self.core.memory.cooling_until_ns[<uint32_t>number] = until_ns
        for held in state.on_way:
            place = held.place
            if place >= PT_PENDING_MAX or len(held.versions) > PT_MAX_LEGS:
                raise IndexError(place)
            one = &self.core.pending[place]
            one.signal = held.signal
            one.basket = held.basket
            one.created_ns = held.created_ns
            one.reported_ns = held.reported_ns
            one.legs = len(held.versions)
            for i, (row, version) in enumerate(held.versions.items()):
                one.row[i] = row
                one.version[i] = version
            self.core.pending_count += 1
        for row, signal in state.held.items():
            if row < PT_MARKETS_MAX:
                self.core.held[<uint32_t>row] = signal

    # --- for the shadow (engine/tape.h) ---------------------------------------------------------

    def tape(self, *, bint on):
        """Begin or end to write down what is done; how much that nobody has read is given up.

        The memory of the tape is shared with processes that are forked from this one.
        """
        cdef void *memory
        cdef uint64_t skipped = 0
        if not on:
            self._end_tape()
            return 0
        if self.core.tape == NULL:
            memory = mmap(
                NULL, sizeof(pt_tape), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0
            )
            if memory == MAP_FAILED:
                raise MemoryError
            self.core.tape = <pt_tape *>memory
        skipped = self.core.tape.skipped + (self.core.tape.written - self.core.tape.read)
        self.core.tape.skipped = 0
        self.core.tape.read = self.core.tape.written
        self.core.tape.lost = False
        return skipped

    cdef _end_tape(self):
        if self.core.tape != NULL:
            munmap(self.core.tape, sizeof(pt_tape))
            self.core.tape = NULL

    @property
    def tape_lost(self):
        """Whether there was no room, or too much to tell: begin anew."""
        return self.core.tape != NULL and self.core.tape.lost

    def next_entry(self):
        """The oldest entry of the tape: kind, number, now_ns, heartbeat_ns, trading, detail, update
        and body as records; None: there is none."""
        cdef pt_tape *tape = self.core.tape
        cdef pt_entry *entry
        if tape == NULL or pt_load(&tape.written) == tape.read:
            return None
        entry = &tape.entry[tape.read % PT_TAPE_ENTRIES]
        update = body = b""
        if entry.kind == PT_TAPE_UPDATE:
            update = PyBytes_FromStringAndSize(<char *>&entry.update, sizeof(pt_update))
            body = PyBytes_FromStringAndSize(<char *>&entry.body.book, sizeof(pt_book))
        elif entry.kind == PT_TAPE_REPORT:
            body = PyBytes_FromStringAndSize(<char *>&entry.body.report, sizeof(pt_report))
        elif entry.kind == PT_TAPE_VERDICT:
            body = PyBytes_FromStringAndSize(<char *>&entry.body.signal, sizeof(pt_signal))
        found = (
            entry.kind, entry.number, entry.now_ns, entry.heartbeat_ns, entry.trading,
            entry.detail, update, body,
        )
        pt_store(&tape.read, tape.read + 1)
        return found

    # --- the pieces of a step with clocks given, for tests ------------------------------------

    def take(self, update, uint64_t seen_ns):
        cdef bytes packed = UPDATE.pack(update)
        if not pt_take_update(self.core, <const pt_update *>PyBytes_AS_STRING(packed), seen_ns):
            raise fenced(self.signals.fence)

    def take_conflated(self, uint32_t row, uint64_t seen_ns):
        if not pt_take_conflated(self.core, row, seen_ns):
            raise fenced(self.signals.fence)

    def hear(self, report, uint64_t now_ns):
        cdef bytes packed = REPORT.pack(report)
        if not pt_hear(self.core, <const pt_report *>PyBytes_AS_STRING(packed), now_ns):
            raise fenced(self.signals.fence)

    def release_overdue(self, uint64_t now_ns):
        pt_release_overdue(self.core, now_ns)

    def retry(self, uint64_t now_ns):
        if not pt_retry(self.core, now_ns):
            raise fenced(self.signals.fence)

    def follow_ingest(self):
        pt_follow_ingest(self.core)

    def show(self, uint64_t now_ns):
        if not pt_show(self.core, now_ns):
            raise fenced(self.signals.fence)


cdef void *_zeroed(size_t count, size_t size) except NULL:
    cdef void *memory = calloc(count if count else 1, size)
    if memory == NULL:
        raise MemoryError
    return memory
