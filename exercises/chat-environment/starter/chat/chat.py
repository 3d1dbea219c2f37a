"""A small chat: one file, and nothing but Python's standard library.

    GET  /          a page with which a browser takes part
    GET  /chat      the WebSocket: each text message is passed on to everybody
    POST /messages  says something without a WebSocket: curl -d 'hello' …/messages
    GET  /history   what was said last, one message a line
    GET  /about     which chat this is, and who it thinks you are
    GET  /healthz   "ok"

Settings are environment variables: PORT (8080), and DATA_DIR (/data), the folder in which the history is kept.
"""

import asyncio
import base64
import collections
import hashlib
import os
import pathlib
import signal
import socket
import struct
import sys

PORT = int(os.environ.get("PORT", "8080"))
HISTORY_FILE = pathlib.Path(os.environ.get("DATA_DIR", "/data")) / "history.txt"

REMEMBERED = 50  # messages that are kept, and shown to whoever comes in
LONGEST_MESSAGE = 2000  # bytes
LONGEST_HEAD = 8192  # bytes of a request before its body
MOST_WAITING = 100  # messages that a slow guest may be behind, before it is put out
PATIENCE = 10  # seconds for a request, and for the last words of a connection
SILENCE = 25  # seconds between two pings; a guest who says nothing for twice as long is gone

OK = "200 OK"
SWITCHED = "101 Switching Protocols"


class History:
    """The last messages: in memory, and in a file that outlives the process."""

    def __init__(self, file):
        self.file = file
        lines = file.read_text("utf-8", "replace").splitlines() if file.exists() else []
        self.messages = collections.deque(lines, maxlen=REMEMBERED)
        self.keep()  # now, not at the first message, it turns out whether that is possible

    def text(self):
        return "".join(f"{message}\n" for message in self.messages)

    def keep(self):
        # First beside it, then in its place: whoever reads finds the old file or the new one, never half of it.
        new = self.file.with_suffix(".new")
        new.write_text(self.text(), "utf-8")
        new.replace(self.file)

    def add(self, message):
        self.messages.append(message)
        try:
            self.keep()
        except OSError as error:
            print(f"the chat goes on, but what was said is not kept: {error}", flush=True)


class Refused(Exception):
    """A request that is answered with an error."""

    def __init__(self, status, text, headers=()):
        super().__init__(text)
        self.status, self.text, self.headers = status, text, headers


class Closed(Exception):
    """A WebSocket that ends: with which code (RFC 6455, 7.4.1)."""

    def __init__(self, code):
        super().__init__(code)
        self.code = code


# --- requests ------------------------------------------------------------------------------------


class Request:
    """The head of an HTTP request. Names of headers are in small letters."""

    def __init__(self, head, peer):
        first, *lines = head.decode("latin-1").split("\r\n")
        if first.count(" ") != 2 or not all(line.isprintable() for line in (first, *lines)):
            raise Refused("400 Bad Request", "This is no HTTP request.")
        self.method, target, _ = first.split(" ")
        self.path = target.split("?")[0]
        self.headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            self.headers[name.strip().lower()] = value.strip()
        # Behind a proxy the connection comes from the proxy. It says in a header for whom it asks.
        self.peer = peer
        self.client = self.headers.get("x-forwarded-for", peer).split(",")[0].strip()

    def wants(self, header, word):
        """Whether the header is a list with this word in it, such as `Connection: keep-alive, Upgrade`."""
        return word in [part.strip().lower() for part in self.headers.get(header, "").split(",")]


async def read_body(request, reader):
    try:
        length = int(request.headers.get("content-length", ""))
    except ValueError:
        raise Refused("411 Length Required", "Say how long your message is.") from None
    if not 0 <= length <= LONGEST_MESSAGE:
        raise Refused("413 Content Too Large", f"A message has at most {LONGEST_MESSAGE} bytes.")
    return await reader.readexactly(length)


def answer(status, text, kind="text/plain", headers=()):
    body = text.encode()
    lines = [
        f"HTTP/1.1 {status}",
        f"Content-Type: {kind}; charset=utf-8",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


# --- WebSockets ----------------------------------------------------------------------------------

CONTINUED, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA


def handshake(request):
    """The answer that turns an HTTP connection into a WebSocket (RFC 6455, 4.2)."""
    if not (request.wants("upgrade", "websocket") and request.wants("connection", "upgrade")):
        raise Refused(
            "426 Upgrade Required",
            "This is a WebSocket. The headers `Upgrade: websocket` and `Connection: Upgrade` did not arrive here.",
            ["Upgrade: websocket"],
        )
    if request.headers.get("sec-websocket-version") != "13":
        raise Refused("426 Upgrade Required", "Version 13 is spoken here.", ["Sec-WebSocket-Version: 13"])
    key = request.headers.get("sec-websocket-key", "")
    try:
        whole = len(base64.b64decode(key, validate=True)) == 16
    except ValueError:
        whole = False
    if not whole:
        raise Refused("400 Bad Request", "This is no handshake of a WebSocket.")
    # The fixed part is the standard's. It shows that the server knows what it says yes to.
    proof = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
    return (
        f"HTTP/1.1 {SWITCHED}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {base64.b64encode(proof).decode()}\r\n\r\n"
    ).encode()


def frame(kind, payload=b""):
    """One frame from the server: never masked, never in parts."""
    size = len(payload)
    if size < 126:
        return struct.pack("!BB", 0x80 | kind, size) + payload
    if size < 1 << 16:
        return struct.pack("!BBH", 0x80 | kind, 126, size) + payload
    return struct.pack("!BBQ", 0x80 | kind, 127, size) + payload


async def read_frame(reader):
    """The next frame of a client: whether it is the last part of its message, its kind, its payload."""
    first, second = await reader.readexactly(2)
    last, kind, size = bool(first & 0x80), first & 0x0F, second & 0x7F
    if size == 126:
        (size,) = struct.unpack("!H", await reader.readexactly(2))
    elif size == 127:
        (size,) = struct.unpack("!Q", await reader.readexactly(8))
    if first & 0x70 or not second & 0x80:  # extensions that nobody agreed on; a client has to mask
        raise Closed(1002)
    if kind >= CLOSE and (not last or size > 125):
        raise Closed(1002)
    if size > LONGEST_MESSAGE:
        raise Closed(1009)
    mask = await reader.readexactly(4)
    payload = await reader.readexactly(size)
    return last, kind, bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


class Guest:
    """Somebody in the chat. What is for them waits in a queue, so that a slow one holds nobody up."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.waiting = asyncio.Queue(MOST_WAITING)

    def send(self, kind, payload=b""):
        try:
            self.waiting.put_nowait(frame(kind, payload))
        except asyncio.QueueFull:
            self.writer.transport.abort()

    async def deliver(self):
        while True:
            self.writer.write(await self.waiting.get())
            await self.writer.drain()

    async def ask_again_and_again(self):
        """Pings: they show who is still there, and keep proxies from ending a silent connection."""
        while True:
            await asyncio.sleep(SILENCE)
            self.send(PING)

    async def receive(self):
        """The next text message, put together from its parts. Raises `Closed` when there are no more."""
        parts = None
        while True:
            async with asyncio.timeout(2 * SILENCE):
                last, kind, payload = await read_frame(self.reader)
            if kind == CLOSE:
                raise Closed(1000)
            if kind == PING:
                self.send(PONG, payload)
            if kind in (PING, PONG):
                continue
            if kind == BINARY:
                raise Closed(1003)
            # A message begins with its kind; what continues it says so.
            if kind not in (TEXT, CONTINUED) or (kind == CONTINUED) == (parts is None):
                raise Closed(1002)
            parts = payload if parts is None else parts + payload
            if len(parts) > LONGEST_MESSAGE:
                raise Closed(1009)
            if last:
                try:
                    return parts.decode("utf-8")
                except UnicodeDecodeError:
                    raise Closed(1007) from None


# --- the chat ------------------------------------------------------------------------------------


class Chat:
    def __init__(self, history):
        self.history = history
        self.guests = set()

    def say(self, text):
        """Keeps a message, on one line, and passes it on to everybody."""
        message = " ".join(text.split())
        if message:
            self.history.add(message)
            for guest in self.guests:
                guest.send(TEXT, message.encode())

    async def connected(self, reader, writer):
        """One connection, from its first byte to its last."""
        client = writer.get_extra_info("peername")[0]
        try:
            async with asyncio.timeout(PATIENCE):
                request = Request((await reader.readuntil(b"\r\n\r\n"))[:-4], client)
                client = request.client
                status, said = await self.respond(request, reader)
            log(client, f"{request.method} {request.path}: {status}")
            writer.write(said)
            if status == SWITCHED:
                await self.welcome(Guest(reader, writer))
            async with asyncio.timeout(PATIENCE):
                await writer.drain()
        except Refused as error:
            log(client, f"{error.status}: {error.text}")
            writer.write(answer(error.status, error.text + "\n", headers=error.headers))
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # It went away, is too slow, or speaks something else: nobody to talk to.
        finally:
            writer.close()

    async def respond(self, request, reader):
        """What a request is answered with: the status, and all of it as bytes."""
        match request.method, request.path:
            case "GET", "/chat":
                return SWITCHED, handshake(request)
            case "GET", "/":
                return OK, answer(OK, PAGE, "text/html")
            case "GET", "/healthz":
                return OK, answer(OK, "ok\n")
            case "GET", "/history":
                return OK, answer(OK, self.history.text())
            case "GET", "/about":
                host = request.headers.get("host", "nobody in particular")
                way = "directly" if request.client == request.peer else f"through {request.peer}"
                text = f"asked for: {host}\nyou are: {request.client}, {way}\nserved by: {socket.gethostname()}\n"
                return OK, answer(OK, text)
            case "POST", "/messages":
                self.say((await read_body(request, reader)).decode("utf-8", "replace"))
                return "201 Created", answer("201 Created", "said\n")
        raise Refused("404 Not Found", f"There is nothing at {request.path} for {request.method}.")

    async def welcome(self, guest):
        """A guest, from its coming in to its going away."""
        code = 1001
        for message in self.history.messages:
            guest.send(TEXT, message.encode())
        self.guests.add(guest)
        tasks = [asyncio.create_task(guest.deliver()), asyncio.create_task(guest.ask_again_and_again())]
        try:
            while True:
                self.say(await guest.receive())
        except Closed as closed:
            code = closed.code
        finally:
            self.guests.discard(guest)
            for task in tasks:
                task.cancel()
            guest.writer.write(frame(CLOSE, struct.pack("!H", code)))


def log(client, what):
    print(f"{client} {what}", flush=True)


PAGE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>The chat</title>
<style>
  body { font: 1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 2rem auto; padding: 0 1rem }
  form { display: flex; gap: .5rem } input { font: inherit; flex: 1; min-width: 5rem }
</style>
<h1>The chat</h1>
<ul id="messages" aria-live="polite"></ul>
<form>
  <input id="name" placeholder="Your name" aria-label="Your name" required>
  <input id="text" placeholder="Say something" aria-label="Message" required autocomplete="off">
  <button>Send</button>
</form>
<p id="state" role="status">connecting</p>
<script>
  const place = name => document.getElementById(name);
  // Next to this page, wherever that is; wss: where the page came over https:.
  const address = new URL("chat", location);
  address.protocol = address.protocol.replace("http", "ws");
  const chat = new WebSocket(address);
  chat.onopen = () => { place("state").textContent = "connected" };
  chat.onclose = () => { place("state").textContent = "not connected; load the page again" };
  chat.onmessage = event => {
    const line = document.createElement("li");
    line.textContent = event.data;  // text, never HTML: it comes from strangers
    place("messages").append(line);
  };
  document.forms[0].onsubmit = event => {
    event.preventDefault();
    chat.send(place("name").value + ": " + place("text").value);
    place("text").value = "";
  };
</script>
"""


async def main():
    try:
        chat = Chat(History(HISTORY_FILE))
    except OSError as error:
        sys.exit(f"the history cannot be kept in {HISTORY_FILE}: {error.strerror}")
    server = await asyncio.start_server(chat.connected, port=PORT, limit=LONGEST_HEAD)
    print(f"the chat is open on port {PORT}, its history is in {HISTORY_FILE}", flush=True)
    # Process 1 of a container is not ended by a signal that it does not handle.
    told_to_stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told_to_stop.set)
    await told_to_stop.wait()
    server.close()
    for guest in chat.guests:
        guest.writer.write(frame(CLOSE, struct.pack("!H", 1001)))
    await asyncio.sleep(0.1)


if __name__ == "__main__":
    asyncio.run(main())
