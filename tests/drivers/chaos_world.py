"""What the clients and the faults of chaos.py share."""

import asyncio
import collections
import time

TENANTS = ["acme", "globex", "initech", "hooli", "umbrella"]
PINNED_AT_ONCE = 3  # clients that hold a server connection for longer than a transaction; fewer than the cap
AFTERMATH = 3  # seconds after an instance is ready again in which its end may still be reported


class Violation(Exception):
    """Something that must not be."""


class Lease:
    def __init__(self, identity, dsn, home, read_only, arguments):
        self.id, self.dsn, self.home, self.read_only, self.arguments = identity, dsn, home, read_only, arguments
        self.revoking = False
        self.revoked_at = None


class World:
    """What the clients and the faults share."""

    def __init__(self, stack, seed):
        self.stack, self.seed = stack, seed
        self.over = False
        self.leases = {}  # by what they are for; replaced when revoked
        self.pins = asyncio.Semaphore(PINNED_AT_ONCE)
        self.acknowledged, self.unanswered = set(), set()  # (tenant or "central", client, number)
        self.kills = self.lost_to_kills = 0
        self.outages = []  # [begin, end or None], of the instance
        self.slowest = (0.0, "nothing")  # answer: seconds, statement
        self.door = None  # of chaos_stranger.py
        self.lateness, self.latest_ever = 0.0, 0.0
        self.actions, self.tolerated, self.faults = (collections.Counter() for _ in range(3))

    def acquire(self, name, home, *arguments):
        identity, dsn = self.stack.lease(*arguments, "--ttl", "2h")
        self.leases[name] = Lease(identity, dsn, home, "--read-only" in arguments, arguments)

    def noticed_late(self, seconds):
        """`lateness`: how late this program was lately."""
        self.lateness = max(seconds, self.lateness * 0.9)
        self.latest_ever = max(seconds, self.latest_ever)

    def outage(self):
        """The number of the outage that is under way, or has just ended; None if there is none."""
        now = time.monotonic()
        if self.outages and (self.outages[-1][1] is None or now < self.outages[-1][1] + AFTERMATH):
            return len(self.outages)
        return None

    def check(self, what, got, expected):
        if got != expected:
            raise Violation(f"{what}: expected {expected!r}, got {got!r}")
