"""The whole conversation with Fanfare by a client that others wrote: Debian's python3-websockets.

    python3 foreign.py http://127.0.0.1:8080

Exits with status 0 when the server kept its word.
"""

import asyncio
import json
import re
import sys
import urllib.request

import websockets

PATIENCE = 30  # seconds; only a failure ever waits that long


def publish(url, topic, data):
    request = urllib.request.Request(
        f"{url}/topics/{topic}/publish",
        data=json.dumps(data).encode(),
        headers={"Content-Type": "application/json"},
        method="POST",
    )
    with urllib.request.urlopen(request, timeout=PATIENCE) as response:
        assert response.status == 200, response.status
        return json.load(response)


async def converse(url):
    async with websockets.connect(url.replace("http", "ws", 1) + "/ws") as socket:

        async def send(frame):
            await socket.send(frame if isinstance(frame, str) else json.dumps(frame))

        async def receive():
            text = await asyncio.wait_for(socket.recv(), PATIENCE)
            assert isinstance(text, str), "the server sends text frames"
            return json.loads(text)

        async def post(topic, data):
            return await asyncio.get_running_loop().run_in_executor(None, publish, url, topic, data)

        welcome = await receive()
        assert welcome["type"] == "welcome", welcome
        assert welcome["message"] == "Hi Client!", welcome
        assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", welcome["client_id"]), welcome

        await send({"action": "subscribe", "topic": "foreign.python.*", "ref": 1})
        ack = await receive()
        assert (ack["type"], ack["action"], ack["topic"], ack["ref"]) == ("ack", "subscribe", "foreign.python.*", 1), ack

        receipt = await post("foreign.python.post", {"n": 1})
        message = await receive()
        assert message["type"] == "message", message
        assert message["id"] == receipt["id"], (message, receipt)
        assert message["topic"] == "foreign.python.post", message
        assert message["data"] == {"n": 1}, message
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", message["time"]), message

        # Its own publish comes back as a message and as an ack, in an order that nobody promises.
        await send({"action": "publish", "topic": "foreign.python.ws", "data": "grüß dich", "ref": "two"})
        frames = {}
        for _ in range(2):
            frame = await receive()
            frames[frame["type"]] = frame
        assert frames["ack"]["ref"] == "two", frames
        assert frames["message"]["id"] == frames["ack"]["id"], frames
        assert frames["message"]["data"] == "grüß dich", frames

        await send({"action": "unsubscribe", "topic": "foreign.python.*", "ref": 3})
        ack = await receive()
        assert (ack["type"], ack["action"], ack["ref"]) == ("ack", "unsubscribe", 3), ack
        await post("foreign.python.post", "nobody listens")

        await send({"action": "ping", "ref": 4})
        assert await receive() == {"type": "pong", "ref": 4}

        await send("this is not JSON")
        error = await receive()
        assert (error["type"], error["code"]) == ("error", "invalid_json"), error

        await send({"action": "subscribe", "topic": "a..b", "ref": 5})
        error = await receive()
        assert (error["type"], error["code"], error["ref"]) == ("error", "invalid_topic", 5), error

        await send({"action": "ping"})
        assert await receive() == {"type": "pong"}, "the connection is still open"

        # RFC 6455's own ping, which this library sends of itself every 20 seconds.
        await asyncio.wait_for(await socket.ping(), PATIENCE)


asyncio.run(converse(sys.argv[1]))
