"""What becomes of a message of commands, by the answers to them."""

from typing import Any, cast

import pytest
from nats.aio.msg import Msg

from services.workflow.entry.consumer import _settle
from services.workflow.entry.messages import Answer, Refusal
from shared.bus.outcome import Outcome, Poison, Retry
from shared.ids import new_id

BAD = Refusal("input_invalid", "It does not fit.")
SOON = Refusal("partition_moving", "It is just going.", retry_after=0.2)
LATER = Refusal("unavailable", "The engine is behind.", retry_after=1)


@pytest.mark.parametrize(
    ("refusals", "outcome"),
    [
        ([BAD, SOON], Retry(0.2, SOON.message)),
        ([BAD, SOON, LATER, None], Retry(1, LATER.message)),
        ([LATER, SOON], Retry(1, LATER.message)),
        ([None, BAD], Poison("input_invalid: It does not fit.")),
    ],
)
async def test_the_reason_of_a_pause_is_that_of_who_asks_for_it(
    refusals: list[Refusal | None], outcome: Outcome
) -> None:
    answers = [Answer(new_id(), error=refusal) for refusal in refusals]
    assert await _settle(cast("Any", None), cast("Msg", Msg(cast("Any", None))), answers) == outcome
