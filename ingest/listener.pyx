# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""The compiled listener: text frames go from picows' receive buffer straight to the compiled keeper.

Everything else (control frames, pieces of messages, what is not our protocol) is handed to the
session in ingest/picows_link.py, whose `PlainListener` is the twin of this class.
"""

from libc.stdint cimport uint64_t

from ingest.native cimport Keeper
from picows.picows cimport WSFrame, WSListener, WSMsgType, WSTransport

from shm.segments import LAYOUT_ID  # the keeper is what depends on the layout


cdef extern from "clock.h" nogil:
    uint64_t pt_now_ns()

cdef enum:
    PONG_BYTES = 4  # the one text that is shorter than any event


cdef class Listener(WSListener):
    cdef Keeper keeper
    cdef object session
    cdef Py_ssize_t longest
    cdef readonly uint64_t heard_ns
    cdef readonly uint64_t carried
    cdef bint same_read
    cdef bint in_pieces

    def __init__(self, session, Keeper keeper, Py_ssize_t longest):
        self.session = session
        self.keeper = keeper
        self.longest = longest
        self.heard_ns = pt_now_ns()

    cpdef on_ws_connected(self, WSTransport transport):
        self.session.opened(transport)

    cpdef on_ws_disconnected(self, WSTransport transport):
        self.session.closed()

    cpdef on_ws_frame(self, WSTransport transport, WSFrame frame):
        # Frames that came with one read of the socket became readable together.
        if not self.same_read:
            self.heard_ns = pt_now_ns()
        self.same_read = not frame.last_in_buffer
        if (
            frame.msg_type == WSMsgType.TEXT and frame.fin and not frame.rsv1
            and not self.in_pieces and PONG_BYTES < frame.payload_size <= self.longest
        ):
            self.carried += 1
            try:
                if self.keeper.take_bytes(frame.payload_ptr, frame.payload_size, self.heard_ns):
                    self.session.heed()
            except Exception as error:
                self.session.fail(transport, error)
        else:
            self.in_pieces = self.session.other(transport, frame, self.heard_ns)
