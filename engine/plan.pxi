# The compiled form of a generation's baskets, and the pricer over it; a part of engine/kernel.pyx.

cdef class Plan:
    """Baskets in the form of engine/core.h, and the memory that goes with them."""

    cdef pt_plan *plan
    cdef pt_memory memory
    cdef readonly dict number_of
    cdef readonly object baskets

    def __cinit__(self, baskets, hurdles_e8):
        self.baskets = tuple(baskets)
        self.number_of = {basket.id: number for number, basket in enumerate(baskets)}
        legs = [leg for basket in baskets for leg in basket.legs]
        self.plan = <pt_plan *>_zeroed(1, sizeof(pt_plan))
        self.plan.basket = <pt_basket *>_zeroed(len(baskets), sizeof(pt_basket))
        self.plan.leg = <pt_leg *>_zeroed(len(legs), sizeof(pt_leg))
        self.plan.of_row = <uint32_t *>_zeroed(len(legs), sizeof(uint32_t))
        self.memory.cooling_until_ns = <uint64_t *>_zeroed(len(baskets), sizeof(uint64_t))
        self.memory.verdict = <uint32_t *>_zeroed(len(baskets), sizeof(uint32_t))
        self.memory.due_ns = <uint64_t *>_zeroed(len(baskets), sizeof(uint64_t))
        self.memory.tries = <uint32_t *>_zeroed(len(baskets), sizeof(uint32_t))
        self.memory.queue = <uint32_t *>_zeroed(len(baskets), sizeof(uint32_t))
        self.memory.queued = <uint8_t *>_zeroed(len(baskets), sizeof(uint8_t))
        self.plan.baskets = len(baskets)
        self._load_facts(legs)
        self._load_baskets(hurdles_e8)

    def __dealloc__(self):
        if self.plan != NULL:
            free(self.plan.basket)
            free(self.plan.leg)
            free(self.plan.of_row)
            free(self.plan.fee_tables)
        free(self.plan)
        free(self.memory.cooling_until_ns)
        free(self.memory.verdict)
        free(self.memory.due_ns)
        free(self.memory.tries)
        free(self.memory.queue)
        free(self.memory.queued)

    cdef _load_facts(self, legs):
        cdef size_t place
        cdef pt_fact *fact
        rates = sorted({leg.market.fee_rate_e6 for leg in legs})
        self.plan.fee_tables = <int64_t *>_zeroed(len(rates) * PT_FEE_TABLE, sizeof(int64_t))
        for place, rate_e6 in enumerate(rates):
            for price_e4, fee_e8 in enumerate(fee_table_e8(rate_e6)):
                self.plan.fee_tables[place * PT_FEE_TABLE + price_e4] = fee_e8
        for leg in legs:
            if leg.market.row >= PT_MARKETS_MAX:
                raise IndexError(leg.market.row)
            fact = &self.plan.fact[<uint32_t>leg.market.row]
            place = rates.index(leg.market.fee_rate_e6)
            fact.fee_e8 = self.plan.fee_tables + place * PT_FEE_TABLE
            fact.key = leg.market.key
            fact.least_e6 = leg.market.min_size_e6

    cdef _load_baskets(self, hurdles_e8):
        cdef uint32_t at = 0
        cdef pt_basket *one
        of_row = {}
        for number, basket in enumerate(self.baskets):
            if len(basket.legs) > PT_MAX_LEGS:
                raise ValueError(f"{len(basket.legs)} legs")
            one = &self.plan.basket[<uint32_t>number]
            one.id = basket.id
            one.kind = basket.kind
            one.group = basket.group
            one.payout_e8 = basket.payout_e4 * PT_E8_PER_E4
            one.tie_payout_e4 = basket.proof.tie_min_e4
            one.void_payout_e4 = basket.proof.void_e4
            one.hurdle_e8 = hurdles_e8[number]
            one.optional = basket.optional
            one.first_leg = at
            one.legs = len(basket.legs)
            for leg in basket.legs:
                self.plan.leg[at].row = leg.market.row
                self.plan.leg[at].yes = leg.outcome is Outcome.YES
                at += 1
                of_row.setdefault(leg.market.row, {})[number] = None
        at = 0
        for row, numbers in of_row.items():
            self.plan.fact[<uint32_t>row].first = at
            self.plan.fact[<uint32_t>row].count = len(numbers)
            for number in numbers:
                self.plan.of_row[at] = number
                at += 1


cdef class _Core:
    cdef pt_core *core
    cdef Plan plan  # keeps what `core.plan` points to

    def __cinit__(self, *_args):
        self.core = <pt_core *>_zeroed(1, sizeof(pt_core))

    def __dealloc__(self):
        free(self.core)

    cdef _set_plan(self, Plan plan):
        self.plan = plan
        self.core.plan = plan.plan
        self.core.memory = plan.memory
        self.core.waiting = 0
        memset(self.core.seen, 0, PT_MARKETS_MAX * sizeof(pt_seen))

    def top(self, uint32_t row):
        if row >= PT_MARKETS_MAX or self.core.plan.fact[row].key == 0:
            return NO_TOP
        cdef pt_seen *seen = &self.core.seen[row]
        return Top(
            bool(seen.usable), seen.bid_e4, seen.bid_size_e6, seen.ask_e4, seen.ask_size_e6,
            seen.book.received_ns, seen.version,
        )

    def of_row(self, uint32_t row):
        if row >= PT_MARKETS_MAX:
            return ()
        cdef const pt_fact *fact = &self.core.plan.fact[row]
        return tuple(self.core.plan.of_row[fact.first + i] for i in range(fact.count))

    def edge(self, uint32_t number):
        cdef pt_edge edge
        if number >= self.core.plan.baskets:
            raise IndexError(number)
        if not pt_edge_of(self.core, number, &edge):
            return None
        return Edge(edge.gross_e8, edge.net_e8, edge.size_e6)


cdef class Pricer(_Core):
    def __init__(self, baskets):
        self._set_plan(Plan(baskets, [0] * len(baskets)))

    @property
    def baskets(self):
        return self.plan.baskets

    def observe(self, uint32_t row, book, uint64_t version, uint64_t ingest_epoch):
        if row >= PT_MARKETS_MAX or self.core.plan.fact[row].key == 0:
            return
        cdef bytes packed = BOOK.pack(book)
        cdef pt_seen *seen = &self.core.seen[row]
        memcpy(&seen.book, PyBytes_AS_STRING(packed), sizeof(pt_book))
        seen.version = version
        self.core.ingest_epoch = ingest_epoch
        pt_digest(self.core, row)

    def hits(self, uint32_t row, hurdles_e8):
        found = []
        for number in self.of_row(row):
            edge = self.edge(number)
            if edge is not None and edge.net_e8 >= hurdles_e8[number]:
                found.append(number)
        return found

    def order(self, uint32_t number, int64_t hurdle_e8, int64_t cap_e6, int64_t slippage_ticks):
        """What engine/walk.py `best_order` says of a quoted basket."""
        cdef pt_walk walk
        cdef pt_order order
        cdef const pt_basket *basket = &self.core.plan.basket[number]
        pt_start_walk(self.core, basket, &walk)
        if not pt_best_order(&walk, hurdle_e8, cap_e6, slippage_ticks, &order):
            return None
        limits = tuple(order.limit_e4[i] for i in range(walk.legs))
        return Order(order.size_e6, limits, order.profit_usd_e6, order.limit_net_e8)
