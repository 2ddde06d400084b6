"""What stands in an archive object, and what is refused as one."""

import contextlib
import datetime as dt
import gzip
import re
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.workflow.app.archive_format import ArchiveFault, line_of, pack, unpack
from services.workflow.app.ports import StatusRow
from services.workflow.limits import ARCHIVE_MEMBER_BYTES
from shared.eventstore.event import RecordedEvent

TENANT, WORKFLOW = UUID(int=2), UUID(int=3)
THEN = dt.datetime(2026, 1, 2, 3, 4, 5, 678901, dt.UTC)


def execution(number: int, *datas: bytes) -> tuple[StatusRow, list[RecordedEvent]]:
    row = StatusRow(TENANT, UUID(int=number), WORKFLOW, 1, "completed", THEN, THEN, len(datas))
    events = [
        RecordedEvent(100 + n, TENANT, row.id, n, "workflow.x.v1", data, b'{"actor": "a"}', THEN)
        for n, data in enumerate(datas, 1)
    ]
    return row, events


data = st.one_of(
    st.text(max_size=20).map(lambda t: ('{"t": "' + re.sub(r'["\\\x00-\x1f\ud800-\udfff]', "?", t) + '"}').encode()),
    st.sampled_from([b"{}", b'{ "n" : 1e400, "d": 0.10 }', b'{"a":1,"a":2}', b'"\\u2028\\n\\u0000"', b"null"]),
)


@given(st.lists(st.lists(data, min_size=1, max_size=5), min_size=1, max_size=8))
def test_every_history_comes_back_byte_for_byte(histories: list[list[bytes]]) -> None:
    held = [execution(number, *datas) for number, datas in enumerate(histories)]
    packed, places = pack([line_of(row, events) for row, events in held])
    assert len(gzip.decompress(packed).split(b"\n")) == len(held) + 1
    for (row, events), place in zip(held, places, strict=True):
        member = packed[place.start : place.start + place.length]
        assert unpack(member, place.line, TENANT, row.id) == events


def test_the_same_executions_give_the_same_bytes_in_members_of_bounded_size() -> None:
    line = line_of(*execution(1, b'"' + b"x" * (ARCHIVE_MEMBER_BYTES // 3) + b'"'))
    packed, places = pack([line] * 10)
    assert (packed, places) == pack([line] * 10)
    assert [place.line for place in places] == [0, 1, 2, 0, 1, 2, 0, 1, 2, 0]
    assert len({place.start for place in places}) == 4
    assert places[-1].start + places[-1].length == len(packed)


def test_a_history_with_a_gap_is_not_archived() -> None:
    row, events = execution(1, b"1", b"2", b"3")
    for broken in (events[1:], events[:2], [], [events[0], events[2], events[1]]):
        with pytest.raises(ArchiveFault):
            line_of(row, broken)


def test_a_line_break_between_tokens_is_not_archived() -> None:
    with pytest.raises(ArchiveFault):
        line_of(*execution(1, b'{\n"a":1}'))


def test_events_of_another_are_not_archived() -> None:
    row, _ = execution(1, b"1")
    _, events = execution(2, b"1")
    with pytest.raises(ArchiveFault):
        line_of(row, events)


@pytest.mark.parametrize("line", [1, 99])
def test_a_line_that_is_not_there_is_a_fault(line: int) -> None:
    packed, _ = pack([line_of(*execution(1, b"1"))])
    with pytest.raises(ArchiveFault):
        unpack(packed, line, TENANT, UUID(int=1))


@pytest.mark.parametrize("raw", [b"", b"no gzip", gzip.compress(b"no json\n"), gzip.compress(b"{}\n")])
def test_what_is_no_archive_is_a_fault(raw: bytes) -> None:
    with pytest.raises(ArchiveFault):
        unpack(raw, 0, TENANT, UUID(int=1))


@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_a_flipped_byte_is_a_fault_or_changes_nothing(at: int, by: int) -> None:
    row, events = execution(1, b'{"a": "some text that is here"}', b"2")
    packed, _ = pack([line_of(row, events)])
    at %= len(packed)
    broken = packed[:at] + bytes([packed[at] ^ by]) + packed[at + 1 :]
    with contextlib.suppress(ArchiveFault):  # but for the header's time and flags, which say nothing of the text
        assert unpack(broken, 0, TENANT, row.id) == events


def test_another_tenants_line_is_a_fault() -> None:
    packed, _ = pack([line_of(*execution(1, b"1"))])
    with pytest.raises(ArchiveFault):
        unpack(packed, 0, UUID(int=9), UUID(int=1))
    with pytest.raises(ArchiveFault):
        unpack(packed, 0, TENANT, UUID(int=9))
