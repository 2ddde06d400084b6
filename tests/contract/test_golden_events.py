"""Events as they were stored by the first version of each type: every later version of the code has to read them.

A golden file is never changed. A new version of a type is a new file, and an upcaster that reads the old one.
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
    [found] = [c for c in CATALOGUES[path.parent.name] if path.stem in c._classes or path.stem in c._upcasters]
    return found


@pytest.mark.parametrize("service", CATALOGUES)
def test_every_type_has_its_golden_event(service: str) -> None:
    written_today = {type_ for catalogue in CATALOGUES[service] for type_ in catalogue._classes}
    assert written_today - {path.stem for path in golden(service)} == set()


@pytest.mark.parametrize("path", [p for service in CATALOGUES for p in golden(service)], ids=lambda path: path.stem)
def test_todays_code_reads_it_whole(path: Path) -> None:
    stored = path.read_bytes()
    catalogue = catalogue_of(path)
    event = catalogue.decode(path.stem, stored)
    assert path.stem == event.TYPE
    # No field is lost on the way, and nothing was renamed: what is written today is what was written then.
    assert msgspec.json.decode(catalogue.encode(event)) == msgspec.json.decode(stored)
    # A golden event fills every field, so a field that is dropped or renamed cannot pass unseen.
    assert set(msgspec.json.decode(stored)) == {field.name for field in msgspec.structs.fields(event)}


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
