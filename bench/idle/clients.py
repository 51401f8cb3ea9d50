#!/usr/bin/env python3
"""Holds idle SMTP connections for idle.py, in a process of its own: descriptors are counted by process.

  clients.py PORT COUNT OVER

Opens COUNT connections one after another, each with its greeting and EHLO; says so in a line of JSON; waits for a line
on standard input; then opens OVER more, past the limit, tells what they got, and waits for another line.
Source addresses change every 10,000 connections, so that local ports do not run out.
"""

import json
import socket
import sys
import time


def connect(port, number):
    client = socket.socket()
    client.settimeout(30)
    client.bind((f"127.0.0.{2 + number // 10000}", 0))
    client.connect(("127.0.0.1", port))
    return client


def reply(client):
    text = b""
    while not text.endswith(b"\n") or text.split(b"\r\n")[-2][3:4] == b"-":
        piece = client.recv(4096)
        if not piece:
            break
        text += piece
    return text


def tell(what):
    print(json.dumps(what), flush=True)
    sys.stdin.readline()


def main():
    port, count, over = map(int, sys.argv[1:])
    held, greetings_s = [], []
    refused = 0
    while len(held) < count and refused < count:
        start = time.perf_counter()
        client = connect(port, len(held) + refused)
        greeting = reply(client)
        if not greeting.startswith(b"220"):
            refused += 1  # the kernel spreads connections over shards by chance: one may be full before the other
            client.close()
            continue
        greetings_s.append(time.perf_counter() - start)
        client.sendall(b"EHLO idle.test\r\n")
        if not reply(client).startswith(b"250"):
            raise SystemExit("EHLO was refused")
        held.append(client)
    tell({"held": len(held), "refused": refused, "greetings_s": greetings_s})
    more_s, taken, others = [], 0, []
    for number in range(over):
        start = time.perf_counter()
        client = connect(port, count + number)
        greeting = reply(client)
        if greeting.startswith(b"421"):
            more_s.append(time.perf_counter() - start)
            client.close()
        elif greeting.startswith(b"220"):
            taken += 1
            held.append(client)
        else:
            others.append(greeting.decode(errors="replace"))
    tell({"refusals_s": more_s, "taken": taken, "others": others})


if __name__ == "__main__":
    main()
