"""The bare NATS protocol, as far as a measure needs it: publish, and hear what is published."""
import queue
import socket
import threading
import time

from harness.rounds import Failure


class Nats:
    def __init__(self, url, subject):
        """`subject`: what is heard of."""
        host, port = url.removeprefix("nats://").rsplit(":", 1)
        self._socket = socket.create_connection((host, int(port)))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")
        self._file.readline()  # INFO
        self._heard = queue.Queue()
        self._socket.sendall(f'CONNECT {{"verbose":false,"pedantic":false}}\r\nSUB {subject} 1\r\nPING\r\n'.encode())
        while self._file.readline().strip() != b"PONG":
            pass
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def publish(self, subject, payload):
        self._socket.sendall(f"PUB {subject} {len(payload)}\r\n".encode() + payload + b"\r\n")

    def next(self, patience):
        """(subject, payload, time.monotonic() of its arrival)"""
        try:
            return self._heard.get(timeout=patience)
        except queue.Empty:
            raise Failure(f"nothing was heard for {patience:g} s") from None

    def forget(self):
        """What has come until now."""
        while not self._heard.empty():
            self._heard.get_nowait()

    def _read(self):
        try:
            while line := self._file.readline():
                if line.startswith(b"PING"):
                    self._socket.sendall(b"PONG\r\n")
                if line.startswith(b"MSG "):
                    words = line.split()
                    payload = self._file.read(int(words[-1]) + 2)[:-2]
                    self._heard.put((words[1].decode(), payload, time.monotonic()))
        except (OSError, ValueError):
            pass  # closed
