"""What an archive object holds: gzip members of JSON Lines, one line an execution, its events as they were recorded.

The members follow each other, so that `zcat` reads the whole object and one range request reads the execution asked
for. They are cut at `ARCHIVE_MEMBER_BYTES` of text: beyond some dozens of executions a member gains nothing more.
"""

import datetime as dt
import zlib
from collections.abc import Sequence
from uuid import UUID

import msgspec

from services.workflow.app.ports import StatusRow
from services.workflow.limits import ARCHIVE_MAX_EXECUTION_BYTES, ARCHIVE_MEMBER_BYTES
from shared.eventstore.event import RecordedEvent

_GZIP = 16 + zlib.MAX_WBITS
_LEVEL = 6


class ArchiveFault(ValueError):
    """This cannot be archived as it stands, or is no archive of ours. The message says why."""


class Place(msgspec.Struct, frozen=True):
    """Where an execution lies in its object: the member's first byte and length, and the line in it, from 0."""

    start: int
    length: int
    line: int


class EventLine(msgspec.Struct, frozen=True):
    """An event. `data` and `meta` are its bytes, which are JSON, as they stood in the log."""

    position: int
    version: int
    type: str
    data: msgspec.Raw
    meta: msgspec.Raw
    recorded_at: dt.datetime


class ExecutionLine(msgspec.Struct, frozen=True):
    """One line: the status row and the whole history."""

    execution: StatusRow
    events: list[EventLine]


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(ExecutionLine).decode


def line_of(row: StatusRow, events: Sequence[RecordedEvent]) -> bytes:
    """Return an execution as a line. Raises `ArchiveFault` unless the history is whole and of this execution."""
    if [event.version for event in events] != list(range(1, row.version + 1)):
        raise ArchiveFault(f"{row.id} has {len(events)} events and not the versions 1 to {row.version}")
    if any(event.stream_id != row.id or event.tenant_id != row.tenant_id for event in events):
        raise ArchiveFault(f"{row.id} has events of another execution or tenant")
    held = [
        EventLine(e.position, e.version, e.type, msgspec.Raw(e.data), msgspec.Raw(e.meta), e.recorded_at)
        for e in events
    ]
    line = _encode(ExecutionLine(row, held))
    if b"\n" in line:
        raise ArchiveFault(f"{row.id} has an event with a line break between its JSON tokens")
    return line + b"\n"


def pack(lines: Sequence[bytes]) -> tuple[bytes, list[Place]]:
    """Return the object and each line's place in it. The same lines give the same bytes."""
    packed = bytearray()
    places: list[Place] = []
    member: list[bytes] = []
    size = 0
    for number, line in enumerate(lines, 1):
        member.append(line)
        size += len(line)
        if size >= ARCHIVE_MEMBER_BYTES or number == len(lines):
            compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
            body = compressor.compress(b"".join(member)) + compressor.flush()
            places += [Place(len(packed), len(body), at) for at in range(len(member))]
            packed += body
            member, size = [], 0
    return bytes(packed), places


def unpack(member: bytes, line: int, tenant_id: UUID, execution_id: UUID) -> list[RecordedEvent]:
    """Return an execution's history from its member. Raises `ArchiveFault` if it is not what the index says."""
    decompressor = zlib.decompressobj(_GZIP)
    try:
        text = decompressor.decompress(member, ARCHIVE_MEMBER_BYTES + ARCHIVE_MAX_EXECUTION_BYTES)
    except zlib.error as error:
        raise ArchiveFault(f"it does not decompress: {error}") from error
    if not decompressor.eof:
        raise ArchiveFault("it is cut off")
    lines = text.split(b"\n")[:-1]
    if line >= len(lines):
        raise ArchiveFault(f"it has no line {line}")
    try:
        found = _decode(lines[line])
    except msgspec.MsgspecError as error:
        raise ArchiveFault(f"it does not decode: {error}") from error
    row = found.execution
    if (row.tenant_id, row.id) != (tenant_id, execution_id) or len(found.events) != row.version:
        raise ArchiveFault("it holds another execution")
    return [
        RecordedEvent(e.position, row.tenant_id, row.id, e.version, e.type, bytes(e.data), bytes(e.meta), e.recorded_at)
        for e in found.events
    ]
