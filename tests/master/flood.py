"""A node that has turned: publishes reports as fast as its login lets it. `python -m tests.master.flood NODE COUNT`.

The broker's address comes in AMQP_URL, the cluster in CLUSTER. Prints how many went out, and over how many seconds.
"""

import asyncio
import os
import sys
import time

import aio_pika
from aiormq.exceptions import AMQPError

from shared.messages.bodies import Header

BODY = b'{"rev":0,"seen":0,"top":0,"digest":"0000000000000000","content":"0000000000000000","count":0,"running":0}'
AT_ONCE = 500


async def flood(node: int, count: int) -> int:
    """Until so many are out, or the broker has had enough; how many went out."""
    connection = await aio_pika.connect(os.environ["AMQP_URL"])
    channel = await connection.channel(publisher_confirms=False)
    exchange = await channel.get_exchange("mp.master", ensure=False)
    headers = Header(v=1, cluster=os.environ["CLUSTER"], node=node, rev=1).model_dump(exclude_defaults=True)
    message = aio_pika.Message(BODY, type="report", headers=headers, user_id=f"node-{node}")
    for number in range(count):
        if channel.is_closed or connection.is_closed:
            return number
        try:
            await exchange.publish(message, f"node-{node}.report", mandatory=False)
        except (AMQPError, OSError):
            return number
        if number % AT_ONCE == 0:
            await asyncio.sleep(0)
    await connection.close()
    return count


if __name__ == "__main__":
    began = time.monotonic()
    sent = asyncio.run(flood(int(sys.argv[1]), int(sys.argv[2])))
    print(f"{sent} {time.monotonic() - began:.2f}")
