"""Which workflow a definition file stands for: its slug says so, among however many workflows there are."""

import re
from typing import Any

import httpx2
import msgspec
import pytest

from infra.cli import catalogue
from infra.cli.api import Api
from infra.cli.errors import ApiRefused

STEPS = [{"type": "transform", "name": "a", "input": {}}]


class Workflows:
    """As much of the workflow service as `apply` and `run` see."""

    def __init__(self, *stored: tuple[str, str]) -> None:
        self.stored = {f"id-{slug}": {"slug": slug, "name": name, "status": "active"} for slug, name in stored}
        self.requests: list[str] = []
        self.ran: list[str] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.path.removeprefix("/api/v1/workflows/workflows")
        self.requests.append(f"{request.method} {path}")
        body = msgspec.json.decode(request.content) if request.content else {}
        match request.method, path.strip("/").split("/"):
            case "POST", [""]:
                return self._create(body)
            case "POST", ["validate"]:
                return answer({"valid": True, "slug": slug_of(body), "steps": 1})
            case "POST", ["execute"]:
                self.ran.append(body["workflow_id"])
                return answer({"id": "x", "status": "completed"})
            case "GET", [""]:
                slug = request.url.params["slug"]
                found = [self._view(key) for key, one in self.stored.items() if one["slug"] == slug]
                return answer({"workflows": found, "total": len(found), "offset": 0, "limit": 50})
            case "GET", ["executions", _]:
                return answer({"id": "x", "status": "completed"})
            case "PATCH", [key]:
                self.stored[key] |= {"name": body["name"], "revised": True}
                return answer(self._view(key))
        raise AssertionError(request.url)

    def _create(self, body: dict[str, Any]) -> httpx2.Response:
        slug = slug_of(body)
        if f"id-{slug}" in self.stored:
            return answer({"status": 409, "code": "slug_taken", "detail": "It is taken."}, 409)
        self.stored[f"id-{slug}"] = {"slug": slug, "name": body["name"], "status": "active"}
        return answer(self._view(f"id-{slug}"), 201)

    def _view(self, key: str) -> dict[str, Any]:
        return {"id": key, **self.stored[key]}

    def revised(self) -> list[str]:
        return [key for key, one in self.stored.items() if one.get("revised")]


def slug_of(definition: dict[str, Any]) -> str:
    return definition.get("slug") or re.sub(r"[^a-z0-9]+", "-", definition["name"].lower()).strip("-")


def answer(body: Any, status: int = 200) -> httpx2.Response:
    return httpx2.Response(status, content=msgspec.json.encode(body))


def client(workflows: Workflows) -> Api:
    return Api("http://platform.test", "token", httpx2.MockTransport(workflows))


async def apply(workflows: Workflows, **definition: Any) -> str:
    async with client(workflows) as api:
        return (await catalogue.apply(api, {"steps": STEPS, **definition})).id


async def test_a_file_revises_the_workflow_of_its_slug_and_not_the_one_of_its_name() -> None:
    workflows = Workflows(("a", "X"), ("b", "Y"))
    assert await apply(workflows, slug="b", name="X") == "id-b"
    assert workflows.revised() == ["id-b"]


async def test_without_a_slug_the_name_gives_it_as_the_service_says() -> None:
    workflows = Workflows(("other", "Order total"), ("order-total", "Once called so"))
    assert await apply(workflows, name="Order total") == "id-order-total"
    assert workflows.revised() == ["id-order-total"]


async def test_one_request_finds_it_among_many() -> None:
    workflows = Workflows(*((f"w{number}", "Same name") for number in range(1_000)))
    assert await apply(workflows, slug="w999", name="Same name") == "id-w999"
    assert workflows.requests.count("GET ") == 1


async def test_a_slug_that_is_free_makes_a_workflow() -> None:
    workflows = Workflows(("a", "X"))
    assert await apply(workflows, slug="b", name="X") == "id-b"
    assert workflows.revised() == []


async def test_a_holder_that_went_away_meanwhile_is_the_refusal() -> None:
    workflows = Workflows(("a", "X"))

    def forgetful(request: httpx2.Request) -> httpx2.Response:
        if request.method == "GET":
            return answer({"workflows": [], "total": 0, "offset": 0, "limit": 50})
        return workflows(request)

    async with Api("http://platform.test", "token", httpx2.MockTransport(forgetful)) as api:
        with pytest.raises(ApiRefused, match="taken"):
            await catalogue.apply(api, {"slug": "a", "name": "X", "steps": STEPS})


async def test_a_run_leaves_the_slug_to_the_service() -> None:
    workflows = Workflows(("w", "W"))
    async with client(workflows) as api:
        assert (await catalogue.run(api, "w", {})).status == "completed"
    assert workflows.ran == ["w"]
    assert "GET " not in workflows.requests
