#!/usr/bin/env python3
"""The bare loop relays what it gets, byte by byte, wherever the final dot is parted; else its costs mean nothing.

  floor_test.py PROGRAM
"""

import contextlib
import pathlib
import queue
import socket
import subprocess
import sys
import tempfile
import threading
import time

MESSAGES = {
    "dot at once": b".\r\n",
    "short": b"Subject: x\r\n\r\nhello\r\n.\r\n",
    "stuffed dots": b"..\r\n..x\r\nx.\r\n. \r\n\r\n.\r\n",
    "over several chunks": b"".join(b"line %d\r\n" % i for i in range(9000)) + b".\r\n",
}


def serve(listener, arrived):
    """A sink: puts (envelope lines, content) of each message into the queue."""
    def converse(connection):
        with connection, connection.makefile("rb") as lines:
            connection.sendall(b"220 sink\r\n")
            envelope = []
            for line in lines:
                if line.upper().startswith(b"DATA"):
                    connection.sendall(b"354 go on\r\n")
                    content = bytearray()
                    while not content.endswith(b"\r\n.\r\n") and content != b".\r\n":
                        content += lines.readline()
                    arrived.put((envelope, bytes(content)))
                    envelope = []
                elif line.upper().startswith((b"MAIL", b"RCPT")):
                    envelope.append(line)
                connection.sendall(b"250-sink\r\n250 ok\r\n" if line.startswith(b"EHLO") else b"250 ok\r\n")

    def converse_until_reset(connection):
        with contextlib.suppress(OSError):  # the floor is ended by a signal
            converse(connection)

    while True:
        connection, _ = listener.accept()
        threading.Thread(target=converse_until_reset, args=[connection], daemon=True).start()


class Client:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.replies = self.socket.makefile("rb")
        self.expect(b"220")

    def expect(self, code):
        line = self.replies.readline()
        if not line.startswith(code):
            raise AssertionError(f"{line!r} instead of {code.decode()}")

    def begin(self, recipients=(b"b@dst.test",)):
        self.socket.sendall(b"MAIL FROM:<a@src.test>\r\n")
        self.expect(b"250")
        for recipient in recipients:
            self.socket.sendall(b"RCPT TO:<" + recipient + b">\r\n")
            self.expect(b"250")
        self.socket.sendall(b"DATA\r\n")
        self.expect(b"354")

    def end(self):
        self.expect(b"250")


def check(arrived, *contents, recipients=1):
    """In any order: what is under way at once goes over several connections."""
    contents = list(contents)
    while contents:
        envelope, got = arrived.get(timeout=30)
        assert got in contents, f"{got[:80]!r} of {len(got)} bytes is none of {contents}"
        contents.remove(got)
        assert len(envelope) == 1 + recipients, envelope


def run(port, arrived):
    client = Client(port)
    for content in MESSAGES.values():
        client.begin()
        client.socket.sendall(content)
        client.end()
        check(arrived, content)
    short = MESSAGES["stuffed dots"]
    for cut in range(1, len(short)):
        client.begin((b"b@dst.test", b"c@dst.test"))
        client.socket.sendall(short[:cut])
        time.sleep(0.002)  # two receives
        client.socket.sendall(short[cut:])
        client.end()
        check(arrived, short, recipients=2)
    # The next transaction behind the dot, in one segment.
    client.begin()
    client.socket.sendall(short + b"MAIL FROM:<a@src.test>\r\nRCPT TO:<b@dst.test>\r\nDATA\r\n")
    for _ in range(4):
        client.replies.readline()  # 250 for the content comes when that is durable: the order is open
    client.socket.sendall(MESSAGES["short"])
    client.end()
    check(arrived, short, MESSAGES["short"])
    # One that breaks off leaves nothing behind, and holds up nobody.
    broken = Client(port)
    broken.begin()
    broken.socket.sendall(b"half of it\r\n")
    broken.replies.close()
    broken.socket.close()
    client.begin()
    client.socket.sendall(MESSAGES["short"])
    client.end()
    check(arrived, MESSAGES["short"])
    assert arrived.empty(), arrived.get()


def main():
    arrived = queue.Queue()
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=serve, args=[listener, arrived], daemon=True).start()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(dir=pathlib.Path(sys.argv[1]).resolve().parent) as folder:
        floor = subprocess.Popen([sys.argv[1], str(port), str(listener.getsockname()[1]), folder])
        try:
            end = time.monotonic() + 30
            while socket.socket().connect_ex(("127.0.0.1", port)) != 0:
                assert floor.poll() is None and time.monotonic() < end, "the floor does not listen"
                time.sleep(0.05)
            run(port, arrived)
        finally:
            floor.kill()
            floor.wait()
    print(f"{len(MESSAGES)} messages, and every way to part one")


if __name__ == "__main__":
    main()
