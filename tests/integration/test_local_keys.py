"""What is derived from a platform's one secret."""

from pathlib import Path

from infra.containers import prepare
from infra.local.keys import master_key, secret_key
from infra.local.nats_credentials import Credentials
from infra.local.options import Options, ServiceProgram
from infra.local.paths import DataDir
from infra.local.stack import Stack

ADMIN = "postgresql://postgres:x@db.test/postgres"
NATS = "nats://nats.test:4222"


def local_environment(place: DataDir) -> dict[str, str]:
    program = ServiceProgram("tenant", "services.tenant.__main__")
    options = Options(data_dir=place.root, programs=(program,), nats_url=NATS, postgres_dsn=ADMIN)
    stack = Stack(options, place, lambda _: None)
    return stack._service(program)._variables


def test_the_tenant_service_gets_the_same_master_key_locally_and_in_containers(tmp_path: Path) -> None:
    place = DataDir(tmp_path)
    place.create()
    key = secret_key(place.secret_key)
    local = local_environment(place)
    contained = prepare._environment("tenant", key, Credentials(tmp_path / "nats"), ADMIN, NATS)
    assert local["AGENTIC_TENANT_MASTER_KEY"] == contained["AGENTIC_TENANT_MASTER_KEY"] == master_key(key).hex()


def test_the_secret_itself_reaches_no_service(tmp_path: Path) -> None:
    place = DataDir(tmp_path)
    place.create()
    key = secret_key(place.secret_key)
    assert key.hex() not in local_environment(place).values()
    assert key.hex() not in prepare._environment("tenant", key, Credentials(tmp_path / "nats"), ADMIN, NATS).values()
