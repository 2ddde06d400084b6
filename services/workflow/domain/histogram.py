"""Durations in buckets that grow by a constant factor, so that histograms of any spans of time add up.

The scheme is that of DDSketch (Masson, Rim, Lee: "DDSketch: a fast and fully-mergeable quantile sketch with
relative-error guarantees", VLDB 2019): bucket i holds what is above g^(i-1) and not above g^i, g = (1 + a) / (1 - a),
and stands for 2 g^i / (g + 1), which is off by at most the share `a` of any value in it.
"""

from collections.abc import Mapping
from math import ceil, log

from services.workflow.limits import DURATION_ACCURACY, MAX_DURATION_MS

_GROWTH = (1 + DURATION_ACCURACY) / (1 - DURATION_ACCURACY)
_LOG_GROWTH = log(_GROWTH)


def bucket_of(duration_ms: float) -> int:
    """Return the bucket of a duration; 0 holds all up to one millisecond."""
    if duration_ms <= 1:
        return 0
    return ceil(log(min(duration_ms, MAX_DURATION_MS)) / _LOG_GROWTH - 1e-9)


def percentile(runs: Mapping[int, int], share: float) -> float | None:
    """Return the duration in milliseconds that the share (0 to 1) of the runs did not exceed, None without runs.

    `runs` counts by bucket. The answer is within `DURATION_ACCURACY` of the run of that rank.
    """
    total = sum(runs.values())
    if not total:
        return None
    rank = max(1, ceil(share * total))
    seen = 0
    for bucket in sorted(runs):
        seen += runs[bucket]
        if seen >= rank:
            break
    return 2 * _GROWTH**bucket / (_GROWTH + 1) if bucket else 1.0
