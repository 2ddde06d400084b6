"""Events as they were stored by the first version of each type: every later version of the code has to read them.

A golden file is never changed. A type that gains a field gets a further file (`<type>~2.json`), a new version of a type
a file of its own and an upcaster that reads the old one.
"""

from pathlib import Path

import msgspec
import pytest

from services.mcp_gateway.domain.events import CATALOGUE as MCP_EVENTS
from services.tenant.domain.events import CATALOGUE as TENANT_EVENTS
from services.workflow.domain.events import EXECUTION_EVENTS
from services.workflow.domain.workflow_events import WORKFLOW_EVENTS
from shared.eventstore.catalogue import DomainEvent, EventCatalogue, UnknownEventType

# Folder of golden files -> the catalogues of the service that writes them.
CATALOGUES: dict[str, tuple[EventCatalogue, ...]] = {
    "mcp": (MCP_EVENTS,),
    "tenant": (TENANT_EVENTS,),
    "workflow": (EXECUTION_EVENTS, WORKFLOW_EVENTS),
}


def golden(service: str) -> list[Path]:
    return sorted((Path(__file__).parent / "golden" / service).glob("*.json"))


def catalogue_of(path: Path) -> EventCatalogue:
    [found] = [c for c in CATALOGUES[path.parent.name] if type_of(path) in c._classes or type_of(path) in c._upcasters]
    return found


def type_of(path: Path) -> str:
    return path.stem.partition("~")[0]


def newest(path: Path) -> bool:
    """Whether no later file holds the same type with more fields."""
    return path == max(path.parent.glob(f"{type_of(path)}*.json"), key=lambda p: int(p.stem.partition("~")[2] or 1))


@pytest.mark.parametrize("service", CATALOGUES)
def test_every_type_has_its_golden_event(service: str) -> None:
    written_today = {type_ for catalogue in CATALOGUES[service] for type_ in catalogue._classes}
    assert written_today - {type_of(path) for path in golden(service)} == set()


@pytest.mark.parametrize("path", [p for service in CATALOGUES for p in golden(service)], ids=lambda path: path.stem)
def test_todays_code_reads_it_whole(path: Path) -> None:
    stored = msgspec.json.decode(path.read_bytes())
    catalogue = catalogue_of(path)
    event = catalogue.decode(type_of(path), path.read_bytes())
    assert type_of(path) == event.TYPE
    # No field is lost on the way, and nothing was renamed: what is written today holds what was written then.
    written = msgspec.json.decode(catalogue.encode(event))
    assert {name: written[name] for name in stored} == stored
    # The newest golden event fills every field, so a field that is dropped or renamed cannot pass unseen.
    if newest(path):
        assert set(stored) == {field.name for field in msgspec.structs.fields(event)}


class _Renamed(DomainEvent, frozen=True):
    TYPE = "test.thing-renamed.v3"

    title: str


def test_older_versions_are_raised_one_after_another() -> None:
    catalogue = EventCatalogue([_Renamed])
    catalogue.upcast("test.thing-renamed.v2", "test.thing-renamed.v3", lambda body: {"title": body["label"]})
    catalogue.upcast("test.thing-renamed.v1", "test.thing-renamed.v2", lambda body: {"label": body["name"]})
    assert catalogue.decode("test.thing-renamed.v1", b'{"name": "x"}') == _Renamed("x")


def test_a_type_that_nobody_knows_is_an_error() -> None:
    with pytest.raises(UnknownEventType):
        EXECUTION_EVENTS.decode("workflow.step-teleported.v1", b"{}")
    with pytest.raises(UnknownEventType):
        EventCatalogue([_Renamed]).upcast("a.v1", "a.v2", dict)
