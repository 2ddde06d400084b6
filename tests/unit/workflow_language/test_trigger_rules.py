"""What a trigger may not be, and what is said of it."""

from typing import Any

import pytest

from services.workflow.domain.language.errors import DefinitionInvalid
from services.workflow.domain.language.parsing import parse_definition
from services.workflow.limits import MAX_CRON_CHARS, MAX_TRIGGERS

STEP = {"type": "transform", "name": "only", "input": None}


def faults_of(*triggers: Any) -> list[tuple[str, str, str]]:
    with pytest.raises(DefinitionInvalid) as caught:
        parse_definition({"name": "A workflow", "steps": [STEP], "triggers": list(triggers)})
    return [(found.path, found.code, found.message) for found in caught.value.faults]


def schedule(**fields: Any) -> dict[str, Any]:
    return {"type": "schedule", "cron": "0 9 * * MON-FRI", **fields}


def webhook(**fields: Any) -> dict[str, Any]:
    return {"type": "webhook", **fields}


@pytest.mark.parametrize(
    ("trigger", "path", "code", "said"),
    [
        ({"type": "schedule"}, "cron", "missing_field", "required"),
        (schedule(cron="0 0 9 * * *"), "cron", "bad_cron", "seconds are not supported"),
        (schedule(cron="0 9 * * MOO"), "cron", "bad_cron", "'MOO' is no day of week"),
        (schedule(cron="0 0 */31 * MON#5"), "cron", "bad_cron", "never comes"),
        (schedule(cron="@hourly"), "cron", "bad_cron", "'0 * * * *'"),
        (schedule(cron="* " * MAX_CRON_CHARS), "cron", "out_of_range", "length"),
        (schedule(cron=5), "cron", "wrong_type", "str"),
        (schedule(timezone="Europe/Berln"), "timezone", "bad_timezone", "did you mean 'Europe/Berlin'?"),
        (schedule(timezone="+02:00"), "timezone", "bad_timezone", "such as Europe/Berlin"),
        (schedule(missed="some"), "missed", "out_of_range", "some"),
        (schedule(seconds=5), "seconds", "unknown_field", "unknown field"),
        (schedule(tz="UTC"), "tz", "unknown_field", "unknown field"),
        (schedule(input="{event.data}"), "input", "reference_unknown", "there are schedule, tenant"),
        (schedule(input="{only.x}"), "input", "reference_unknown", "no 'only' here"),
        (schedule(input={"a": "{schedul.time}"}), "input.a", "reference_unknown", "did you mean 'schedule'?"),
        (schedule(input="{secret.X}"), "input", "secret_not_allowed", "a secret"),
        (schedule(input="{schedule.time | up}"), "input", "template_invalid", "no filter"),
        (schedule(condition="$.event.x == 1"), "condition", "reference_unknown", "there are schedule, tenant"),
        (schedule(condition="$.schedule.x = 1"), "condition", "condition_invalid", ""),
        (webhook(name="my hook"), "name", "bad_name", "letters, digits and _"),
        (webhook(name=""), "name", "out_of_range", "length"),
        (webhook(name="a" * 65), "name", "out_of_range", "length"),
        (webhook(secret="x"), "secret", "unknown_field", "unknown field"),
        (webhook(input="{schedule.time}"), "input", "reference_unknown", "there are event, tenant"),
        (webhook(condition="$.input.x"), "condition", "reference_unknown", "there are event, tenant"),
    ],
)
def test_a_fault_has_its_path_and_a_sentence_that_helps(trigger: Any, path: str, code: str, said: str) -> None:
    [(where, found, message)] = faults_of(trigger)
    assert (where, found) == (f"triggers[0].{path}", code)
    assert said in message


def test_all_faults_are_told_at_once() -> None:
    found = faults_of(schedule(cron="x", timezone="y", input="{z.z}"), webhook(), webhook())
    assert [(path, code) for path, code, _ in found] == [
        ("triggers[0].timezone", "bad_timezone"),
        ("triggers[0].cron", "bad_cron"),
        ("triggers[0].input", "reference_unknown"),
        ("triggers[2].name", "duplicate_name"),
    ]
    assert "triggers[1] is the webhook 'webhook' already" in found[-1][2]


def test_too_many_triggers_are_refused() -> None:
    found = faults_of(*[schedule(cron="x")] * (MAX_TRIGGERS + 1))
    assert [(path, code) for path, code, _ in found] == [("triggers", "too_many_triggers")]


def test_what_is_right_is_taken() -> None:
    definition = parse_definition(
        {
            "name": "A workflow",
            "steps": [STEP],
            "triggers": [
                {"type": "manual"},
                schedule(),
                schedule(),
                schedule(
                    cron="*/5 8-18 * 1,7 MON#1", timezone="Europe/Berlin", missed="all",
                    input={"day": "{schedule.local_time}", "for": "{tenant.id}"}, condition="$.schedule.time != 'x'",
                ),
                webhook(),
                webhook(name="github", condition="$.event.headers['x-github-event'] == 'push'", input="{event.data}"),
            ],
        }
    )  # fmt: skip
    assert [trigger.__struct_config__.tag for trigger in definition.triggers] == [
        "manual", "schedule", "schedule", "schedule", "webhook", "webhook",
    ]  # fmt: skip
