"""Percentiles from buckets are within the stated error of the exact ones, whatever was added to what."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from services.workflow.domain.histogram import bucket_of, percentile
from services.workflow.limits import DURATION_ACCURACY, MAX_DURATION_MS

DURATIONS = st.lists(st.floats(1, MAX_DURATION_MS), min_size=1, max_size=200)


@given(DURATIONS, DURATIONS, st.sampled_from([0.01, 0.5, 0.95, 0.99, 1.0]))
def test_a_percentile_is_within_its_error_and_histograms_add_up(
    ones: list[float], others: list[float], share: float
) -> None:
    runs = Counter(map(bucket_of, ones)) + Counter(map(bucket_of, others))
    every = sorted(ones + others)
    exact = every[max(1, -int(-share * len(every) // 1)) - 1]
    found = percentile(runs, share)
    assert found is not None
    assert abs(found - exact) <= exact * DURATION_ACCURACY * (1 + 1e-6)


def test_the_ends_of_the_scale() -> None:
    assert percentile({}, 0.5) is None
    assert {bucket_of(0), bucket_of(-5), bucket_of(1)} == {0}
    assert percentile({0: 3}, 0.99) == 1.0
    assert bucket_of(MAX_DURATION_MS * 1000) == bucket_of(MAX_DURATION_MS) < 2**15
