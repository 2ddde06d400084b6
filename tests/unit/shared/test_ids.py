"""Ids: which lie in the order of time, and which never do."""

from uuid import RFC_4122, UUID

from shared.ids import derived_id, derived_id_at, new_id, time_of

LATE = 4_000_000_000_000  # milliseconds: in the year 2096


def test_whoever_chooses_the_parts_chooses_no_id_of_a_time() -> None:
    ids = [derived_id("event-trigger", UUID(int=1), n) for n in range(5_000)]
    assert min(time_of(id_) for id_ in ids) > LATE
    assert {(id_.version, id_.variant) for id_ in ids} == {(5, RFC_4122)}
    assert len(set(ids)) == len(ids)
    assert ids == [derived_id("event-trigger", UUID(int=1), n) for n in range(5_000)]


def test_ids_with_a_time_are_in_its_order_and_before_the_derived_ones() -> None:
    now = new_id()
    ids = [derived_id_at(0, "a"), derived_id_at(time_of(now) - 1, "z"), now, derived_id_at(time_of(now) + 1000, "a")]
    assert ids == sorted(ids)
    assert {time_of(id_) < LATE for id_ in ids} == {True}
    assert [id_.version for id_ in ids] == [8, 8, 7, 8]
