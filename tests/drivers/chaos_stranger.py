"""What strangers send to the SQL port in chaos.py: nothing that a client with a lease would, all of it hostile.

No stranger may get further than the log-in, be answered with anything but a refusal, make the gateway allocate what it
claims to send, or stop it.
"""

import asyncio
import pathlib
import socket
import struct

import psycopg

from chaos_world import Violation

PROTOCOL = 3 << 16
CANCEL, SSL, GSSENC = (1234 << 16 | n for n in (5678, 5679, 5680))
LOGIN_PATIENCE = 30  # gateway.login_timeout
BEFORE_LOG_IN = b"REvN"  # messages that a stranger may be answered with; "N" is also the answer to SSLRequest
MOST_GROWTH = 512 << 20  # bytes of the gateway's memory; what strangers claim at a time would be some GiB


def packet(code, body=b"", length=None):
    return struct.pack("!iI", 8 + len(body) if length is None else length, code) + body


def message(kind, body=b"", length=None):
    return kind + struct.pack("!i", 4 + len(body) if length is None else length) + body


def startup(**settings):
    return packet(PROTOCOL, b"".join(f"{k}\0{v}\0".encode() for k, v in settings.items()) + b"\0")


def opening(random):
    """What a stranger begins with."""
    junk = random.randbytes(random.choice([1, 3, 7, 8, 9, 100, 9_990, 70_000]))
    length = random.choice([-(1 << 31), -1, 0, 4, 7, 8, 9, 10_000, 10_001, 1 << 24, (1 << 31) - 1])
    user = random.choice(["nobody", "lh1.nobody", "postgres", "lh1." + "x" * 9_000, "\u00e9" * 100, "lh1.\t;'\""])
    sasl = message(b"p", b"SCRAM-SHA-256\0" + struct.pack("!i", random.choice([-1, 0, 5, 1 << 30, len(junk)])) + junk)
    return random.choice([
        junk,
        packet(random.getrandbits(32), junk),
        packet(PROTOCOL, junk, length),
        packet(PROTOCOL | random.randrange(1 << 16), junk + b"\0"),
        packet(SSL) * random.choice([1, 2, 50]) + junk,
        packet(GSSENC) * random.choice([1, 2, 50]) + junk,
        b"\x16\x03\x01" + struct.pack("!H", random.choice([0, 5, 0xFFFF])) + junk,  # TLS, for a moment
        packet(CANCEL, random.randbytes(8)) + junk,
        packet(CANCEL, random.randbytes(random.choice([0, 7, 9, 300]))),
        startup(user=user) + junk,
        startup(user=user) + message(b"p", junk, length),
        startup(user=user) + sasl,
        startup(user=user) + sasl * 3,
        startup(user=user) + message(b"Q", b"SELECT 1\0") * 3,
        startup(user=user, replication="database"),
        startup(user=user, **{f"setting{i}": "x" for i in range(500)}),
        startup(user=user, options="-c " * 1000),
        startup(user=user)[:-random.randrange(1, 9)],
    ])


def check_answers(said):
    """Raises if it is more than a stranger may be told."""
    rest = said.lstrip(b"N")  # to SSLRequest and GSSENCRequest
    while rest:
        if rest[0] not in BEFORE_LOG_IN:
            raise Violation(f"a stranger was told {said[:200]!r}")
        if rest[:1] == b"R" and rest[5:9] == b"\0\0\0\0":
            raise Violation("a stranger was let in")
        rest = rest[1 + int.from_bytes(rest[1:5]):] if len(rest) >= 5 else b""


async def knock(world, random):
    """One stranger: says something, reads what comes, and goes; some stay until they are sent away."""
    host, port = world.stack.env["LEASEHOLD_SQL"].rsplit(":", 1)
    says, stays = opening(random), random.random() < 0.1
    pieces = random.choice([1, 1, 1, 2, 5])
    said = bytearray()
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        step = len(says) // pieces + 1
        for begin in range(0, len(says), step):
            writer.write(says[begin:begin + step])
            await writer.drain()
            await asyncio.sleep(0)
        patience = LOGIN_PATIENCE * 3 if stays else random.uniform(0.05, 1.0)
        async with asyncio.timeout(patience):
            while part := await reader.read(65536):
                said += part
    except TimeoutError:
        if stays:
            raise Violation(f"a stranger was let wait for {patience} s after {says[:50]!r}") from None
    except OSError:
        pass  # hung up on
    finally:
        check_answers(bytes(said))
        writer.transport.abort()


def break_in(world, random):
    """Somebody with a lease whose client has gone mad: garbage behind a proper log-in."""
    lease = world.leases["mad"]
    try:
        connection = psycopg.connect(lease.dsn, autocommit=True, connect_timeout=120)
    except psycopg.OperationalError:
        return  # the instance is being restarted
    with socket.socket(fileno=connection.fileno()) as raw:
        junk = random.randbytes(random.choice([1, 50, 5_000]))
        length = random.choice([-1, 0, 3, 4, 5, 9_999, 10_001, 1 << 20, 1 << 30, (1 << 31) - 1])
        kinds = [bytes([random.randrange(256)]) for _ in range(3)] + [b"P", b"B", b"D", b"E", b"C", b"Q", b"d", b"F", b"S"]
        for _ in range(random.randrange(1, 20)):
            try:
                raw.sendall(message(random.choice(kinds), random.choice([junk, b"", b"\0", b"s\0SELECT 1\0\0\0"]),
                                    length if random.random() < 0.2 else None))
            except OSError:
                break
        raw.settimeout(random.uniform(0.05, 1.0))
        try:
            while raw.recv(65536):
                pass
        except OSError:
            pass
        raw.detach()
    connection.close()


class Door:
    """The gateway's process, as strangers should leave it."""

    def __init__(self, world):
        self.world = world
        self.pid = world.stack.pid_of("gateway")
        self.memory = self.resident()

    def resident(self):
        try:
            status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        except FileNotFoundError:
            raise Violation("the gateway has ended") from None
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS"))

    def check(self):
        if self.world.stack.pid_of("gateway") != self.pid:
            raise Violation("the gateway has ended, and was started again")
        if (growth := self.resident() - self.memory) > MOST_GROWTH:
            raise Violation(f"the gateway has grown by {growth >> 20} MiB")
