import itertools

from hypothesis import given
from hypothesis import strategies as st

from sim.delivery import raw_frame
from sim.messages import HEAD_BYTES_MAX, Stream, first_line

GET = b"GET /book?token_id=1 HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /orders HTTP/1.1\r\nHost: x\r\ncontent-length: 5\r\n\r\n[1,2]"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n10;x=y\r\n0123456789abcdef"
    b"\r\n0\r\n\r\n"
)
PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
NOTHING = b"HTTP/1.1 204 No Content\r\n\r\n"
UPGRADE = b"GET /ws/market HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
MASKED = bytes((0x81, 0x82, 1, 2, 3, 4)) + b"xy"
FRAMES = [raw_frame(0x81, b"x" * size) for size in (0, 5, 125, 126, 70_000)] + [MASKED]


def cut(data, places):
    """The data in pieces, cut at these places."""
    marks = [0, *sorted({place % (len(data) + 1) for place in places}), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(marks)]


@given(st.lists(st.sampled_from([GET, POST]), min_size=1, max_size=5), st.lists(st.integers(0)))
def test_requests_come_out_whole_however_they_are_cut(messages, places):
    stream = Stream()
    found = [one for piece in cut(b"".join(messages), places) for one in stream.feed(piece)]
    assert found == messages


@given(
    st.lists(st.sampled_from([PLAIN, CHUNKED, NOTHING]), min_size=1, max_size=5),
    st.lists(st.integers(0)),
)
def test_responses_come_out_whole_however_they_are_cut(messages, places):
    stream = Stream(responses=True)
    found = [one for piece in cut(b"".join(messages), places) for one in stream.feed(piece)]
    assert found == messages


@given(st.lists(st.sampled_from(FRAMES), min_size=1, max_size=4), st.lists(st.integers(0)))
def test_frames_come_out_whole_after_an_upgrade(frames, places):
    for head, responses in ((UPGRADE, False), (SWITCHED, True)):
        stream = Stream(responses=responses)
        pieces = cut(head + b"".join(frames), places)
        assert [one for piece in pieces for one in stream.feed(piece)] == [head, *frames]
        assert stream.mode == "frames"


def test_a_response_without_a_length_is_passed_on_as_it_comes():
    stream = Stream(responses=True)
    assert stream.feed(b"HTTP/1.1 200 OK\r\n\r\nabc") == [b"HTTP/1.1 200 OK\r\n\r\nabc"]
    assert stream.feed(b"more") == [b"more"]


def test_what_is_no_http_is_passed_on_at_last():
    stream = Stream()
    noise = b"x" * (HEAD_BYTES_MAX + 1)
    assert stream.feed(noise) == [noise]
    assert stream.mode == "raw"
    assert Stream("raw").feed(b"any") == [b"any"]


def test_an_unfinished_message_can_be_had():
    stream = Stream()
    assert stream.feed(POST[:-2]) == []
    assert stream.rest() == POST[:-2]
    assert stream.rest() == b""


def test_the_first_line_says_what_a_request_is():
    assert first_line(POST) == "POST /orders HTTP/1.1"
