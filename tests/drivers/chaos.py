#!/usr/bin/env python3
"""Many clients of one instance, and faults among them: chaos.py --binaries build/dev/bin --seed 1 --duration 120

Clients move between tenants, prepare, set, listen, make temporary tables, fail and cancel, each by its own random
numbers, and keep a model of what PostgreSQL should show them. What they are shown is compared after every answer: the
database, the role, the settings, and now and then everything that a session can leave behind. Meanwhile server
processes are killed, the instance is restarted, leases are revoked, one tenant floods, strangers send whatever they
like. The first thing that should not be ends the run with what it was and what that client did before. At the end every
acknowledged write has to be there, once, and nothing else but writes that were never answered.

Times differ from run to run, so the same seed gives the same clients and faults but not the same interleaving.
"""

import argparse
import asyncio
import random
import shutil
import signal
import subprocess
import sys
import time

import psycopg

from chaos_client import Client
from chaos_stranger import Door, break_in, knock
from chaos_world import TENANTS, Violation, World
from stack import CapSampler, Stack

CAP = 10  # of leasehold.yaml
BEAT = 0.1  # seconds between two looks at how late this program itself is
PATIENCE = 3  # times the duration, for each kind of fault to happen on a slow machine
REPORT = 15  # seconds between two lines that say how it goes


class Chaos:
    def __init__(self, world, kinds):
        self.world, self.kinds = world, kinds
        self.random = random.Random(world.seed)

    async def reign(self, duration):
        begun = time.monotonic()
        if not self.kinds:
            await asyncio.sleep(duration)

        def done():
            past = time.monotonic() - begun
            return past > (duration if self.missing() == [] else PATIENCE * duration)

        while not done():
            for fault in self.a_round():
                await asyncio.sleep(self.random.uniform(0.05, 1.0))
                if done():
                    break
                if await fault():
                    self.world.faults[fault.__name__] += 1
        if self.missing():
            raise Violation(f"the machine is too slow for {', '.join(self.missing())}")

    def a_round(self):
        """Each kind once, in an order of the seed's, and mostly kills."""
        for kind in self.random.sample(self.kinds, len(self.kinds)):
            if "kill" in self.kinds:
                yield from [self.kill] * self.random.randrange(3, 9)
            yield getattr(self, kind)

    def missing(self):
        """What has not happened yet."""
        return [kind for kind in self.kinds if not self.world.faults[kind]]

    async def kill(self):
        if self.world.outage() is not None:
            return False
        return await asyncio.to_thread(self.kill_now)

    def kill_now(self):
        with self.world.stack.superuser() as connection:
            servers = [pid for pid, in connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' "
                "AND usename NOT IN ('postgres', 'leasehold') ORDER BY pid")]
            if not servers:
                return False
            self.world.kills += 1
            return connection.execute("SELECT pg_terminate_backend(%s)", [self.random.choice(servers)]).fetchone()[0]

    async def restart(self):
        await self.end_instance(signal.SIGINT)
        return True

    async def crash(self):
        await self.end_instance(self.random.choice([signal.SIGQUIT, signal.SIGKILL]))
        return True

    async def end_instance(self, how):
        self.world.outages.append([time.monotonic(), None])
        await asyncio.to_thread(self.world.stack.restart, "postgres/alpha", how)

        def answers():
            try:
                with self.world.stack.superuser():
                    return True
            except psycopg.OperationalError:
                return False

        while not await asyncio.to_thread(answers):
            await asyncio.sleep(0.05)
        self.world.outages[-1][1] = time.monotonic()

    async def revoke(self):
        name = self.random.choice(sorted(self.world.leases.keys() - {"mad"}))
        old = self.world.leases[name]
        await asyncio.to_thread(self.world.acquire, name, old.home, *old.arguments)
        old.revoking = True
        await asyncio.to_thread(self.world.stack.leasehold, "lease", "revoke", old.id)
        old.revoked_at = time.monotonic()
        return True

    async def flood(self):
        """One tenant's 200 clients, which nobody else should feel as more than a wait."""
        tenant = self.random.choice(TENANTS)
        _, dsn = await asyncio.to_thread(self.world.stack.lease, tenant, "alpha", "--holder", "flood")
        script = "SELECT pg_sleep(0.002);"
        process = await asyncio.create_subprocess_exec(
            shutil.which("pgbench"), "-n", "-f", "/dev/stdin", "-c", "200", "-j", "1", "-T", "4", dsn,
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        before = len(self.world.outages)
        _, said = await process.communicate(script.encode())
        if process.returncode != 0 and len(self.world.outages) == before and self.world.outage() is None:
            raise Violation(f"the flooding clients failed: {said.decode()[-500:]}")
        return True


    async def strangers(self):
        count = self.random.randrange(20, 80)
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(knock(self.world, random.Random(self.random.random())))
            for _ in range(3):
                group.create_task(asyncio.to_thread(break_in, self.world, random.Random(self.random.random())))
        await asyncio.to_thread(self.world.door.check)
        return True


async def watch_the_clock(world):
    """How late this program is: what it notices, it may have been told so long ago."""
    begun = told = time.monotonic()
    while not world.over:
        before = time.monotonic()
        await asyncio.sleep(BEAT)
        now = time.monotonic()
        world.noticed_late(now - before - BEAT)
        if now > told + REPORT:
            told = now
            print(f"{now - begun:.0f} s: {world.actions.total()} actions, {world.faults.total()} faults, "
                  f"{len(world.acknowledged)} writes; at most {world.latest_ever:.1f} s late", flush=True)


async def sample(world, sampler):
    while not world.over:
        await asyncio.to_thread(sampler.sample)
        if sampler.excess:
            raise Violation(sampler.excess[0])
        await asyncio.sleep(0.02)


def check_writes(world):
    """Acknowledged writes are there, once and in their own database; of the others only those without an answer."""
    for place in ["central", *TENANTS]:
        database = "alpha_central" if place == "central" else f"tenant_{place}_alpha"
        with world.stack.superuser("alpha", database) as connection:
            rows = connection.execute("SELECT client, number FROM entries").fetchall()
        found = {(place, *row) for row in rows}
        for what, wrong in (
                ("rows twice", len(rows) - len(found)),
                ("acknowledged writes lost", {w for w in world.acknowledged if w[0] == place} - found),
                ("rows that were rolled back, or belong elsewhere", found - world.acknowledged - world.unanswered)):
            if wrong:
                raise Violation(f"{place}: {what}: {wrong if isinstance(wrong, int) else sorted(wrong)[:5]}")


async def one_life(client):
    try:
        await client.live()
    except Exception as error:
        kind = "" if isinstance(error, Violation) else f"{type(error).__name__}: "
        past = "\n    ".join(line[:150].replace("\n", " ") for line in client.past)
        violation = Violation(f"{client.name} ({client.lease_name}): {kind}{error}\n  before:\n    {past}")
        print(f"VIOLATION {violation}", flush=True)  # at once: the other clients may need long to end
        raise violation from error


async def run(stack, flags):
    world = World(stack, flags.seed)
    stack.create_tenants(*TENANTS)
    world.acquire("home", TENANTS[0], TENANTS[0], "alpha")
    world.acquire("reader", TENANTS[1], TENANTS[1], "alpha", "--read-only")
    world.acquire("mad", TENANTS[2], TENANTS[2], "alpha", "--read-only")
    for i in range(3):
        world.acquire(f"central {i}", None, "--connection", "central", "alpha", "--switch-to", "*")
    world.door = Door(world)
    sampler = CapSampler(stack, CAP)
    clients = [Client(world, i) for i in range(flags.clients)]

    async def reign():
        await Chaos(world, flags.faults).reign(flags.duration)
        world.over = True

    begun = time.monotonic()
    held = False
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(watch_the_clock(world))
            group.create_task(sample(world, sampler))
            group.create_task(reign())
            for client in clients:
                group.create_task(one_life(client))
        check_writes(world)
        world.door.check()
        held = True
    except* Exception as group:
        world.over = True
        error = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        print(f"VIOLATION after {time.monotonic() - begun:.1f} s (seed {flags.seed}): {error}", flush=True)
    finally:
        sampler.close()
    counters = {"faults": world.faults, "errors they explain": world.tolerated, "actions": world.actions}
    for title, counts in counters.items():
        print(f"{title}: {', '.join(f'{name} {n}' for name, n in sorted(counts.items())) or 'none'}")
    print(f"writes: {len(world.acknowledged)} acknowledged, {len(world.unanswered)} unanswered; "
          f"server connections: at most {sampler.most} of {CAP} in {sampler.samples} samples; "
          f"slowest answer: {world.slowest[0]:.1f} s, to {world.slowest[1][:40]}", flush=True)
    return held


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binaries", required=True, help="where leasehold is")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--duration", type=float, default=120, help="seconds")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--faults", type=lambda words: [word for word in words.split(",") if word],
                        default="kill,restart,crash,revoke,flood,strangers", help="which, with commas (%(default)s); '' for none")
    flags = parser.parse_args()
    with Stack(flags.binaries) as stack:
        held = asyncio.run(run(stack, flags))
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
