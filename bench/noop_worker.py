"""A worker process that does every tool call at once: `python -m bench.noop_worker NATS_URL SEED`."""

import asyncio
import sys

import msgspec
import nats
import uvloop
from nats.aio.msg import Msg

from shared.bus.envelope import encode_item, pack
from shared.bus.tasks import Task, TaskResult, result_subject

SUBJECT = "commands.mcp.execute-tool"
_decode = msgspec.json.Decoder(list[Task]).decode
_OUTPUT = {"ok": True, "value": "x" * 32}


async def main(url: str, seed: str) -> None:
    """Answer until killed."""
    client = await nats.connect(url, nkeys_seed_str=seed, inbox_prefix=b"_INBOX_operator")

    async def on_tasks(message: Msg) -> None:
        by_partition: dict[int, list[bytes]] = {}
        for task in _decode(message.data):
            result = TaskResult(task.execution_id, task.step_path, task.attempt, "ok", _OUTPUT)
            by_partition.setdefault(task.partition, []).append(encode_item(result))
        for partition, results in by_partition.items():
            for body in pack(results):
                await client.publish(result_subject(partition), body)

    await client.subscribe(SUBJECT, queue="bench", cb=on_tasks)
    await client.flush()
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], sys.argv[2]))
