"""What is derived from a platform's one secret."""

from pathlib import Path

import pytest

from infra.containers import prepare
from infra.local.keys import master_key, secret_key
from infra.local.nats_credentials import Credentials
from infra.local.options import Options, ServiceProgram
from infra.local.paths import DataDir
from infra.local.stack import Stack
from shared.secrets.questions import reader_key

ADMIN = "postgresql://postgres:x@db.test/postgres"
NATS = "nats://nats.test:4222"


def local_environment(place: DataDir, service: str = "tenant") -> dict[str, str]:
    program = ServiceProgram(service, f"services.{service}.__main__")
    options = Options(data_dir=place.root, programs=(program,), nats_url=NATS, postgres_dsn=ADMIN)
    stack = Stack(options, place, lambda _: None)
    return stack._service(program, program.name)._variables


@pytest.mark.parametrize("service", ["tenant", "workflow"])
def test_a_service_gets_the_same_master_key_locally_and_in_containers(tmp_path: Path, service: str) -> None:
    place = DataDir(tmp_path)
    place.create()
    key, name = secret_key(place.secret_key), f"AGENTIC_{service.upper()}_MASTER_KEY"
    local = local_environment(place, service)
    contained = prepare._environment(service, key, Credentials(tmp_path / "nats"), ADMIN, NATS)
    assert local[name] == contained[name] == master_key(key, service).hex()
    other = "tenant" if service == "workflow" else "workflow"
    assert master_key(key, other).hex() not in {*local.values(), *contained.values()}


def test_the_secret_itself_reaches_no_service(tmp_path: Path) -> None:
    place = DataDir(tmp_path)
    place.create()
    key = secret_key(place.secret_key)
    assert key.hex() not in local_environment(place).values()
    assert key.hex() not in prepare._environment("tenant", key, Credentials(tmp_path / "nats"), ADMIN, NATS).values()


def test_those_who_may_ask_for_secrets_have_the_keys_that_the_tenant_service_knows(tmp_path: Path) -> None:
    place = DataDir(tmp_path)
    place.create()
    key, credentials = secret_key(place.secret_key), Credentials(place.credentials / "nats")
    for environment in (
        lambda service: local_environment(place, service),
        lambda service: prepare._environment(service, key, credentials, ADMIN, NATS),
    ):
        known = environment("tenant")["AGENTIC_TENANT_SECRETS_READERS"].split(",")
        seeds = [environment(name)[f"AGENTIC_{name.upper()}_SECRETS_SEED"] for name in ("mcp_gateway", "workflow")]
        assert [reader_key(seed, "X").public_key.decode() for seed in seeds] == known
        assert not [value for value in environment("rag").values() if value in seeds]
        # What the server chooses to have signed is not signed with these.
        assert not {*seeds} & {credentials.seed(name) for name in ("mcp_gateway", "workflow", "operator")}
