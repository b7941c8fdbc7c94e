"""One client of chaos.py: what it does, and what it should be shown."""

import asyncio
import collections
import os
import random
import socket
import time

import psycopg
from psycopg import AsyncConnection, sql
from psycopg.pq import TransactionStatus

from chaos_world import TENANTS, Violation

STUCK = 120  # seconds: twice what a client may wait for a server connection
REVOKED_WITHIN = 1.5  # seconds: one, and what the machine may need besides

# What a client may read when its server, or its way to it, has gone; and when its lease has ended.
LOST = {"57P01", "57P02", "57P03", "08000", "08003", "08006", None}
ENDED = {"28000", "28P01", None}

LIGHT = """SELECT current_database(), current_user, (SELECT tenant FROM public.place),
                  current_setting('application_name'), current_setting('TimeZone'), current_setting('search_path')"""
FULL = """SELECT coalesce((SELECT array_agg(relname::text ORDER BY relname) FROM pg_class
                           WHERE relnamespace = pg_my_temp_schema() AND relkind = 'r'), '{}'),
                 coalesce((SELECT array_agg(c ORDER BY c) FROM pg_listening_channels() c), '{}'),
                 coalesce((SELECT array_agg(objid::int ORDER BY objid) FROM pg_locks
                           WHERE locktype = 'advisory' AND pid = pg_backend_pid()), '{}'),
                 coalesce((SELECT array_agg(name ORDER BY name) FROM pg_cursors WHERE is_holdable), '{}'),
                 current_setting('statement_timeout'), current_setting('work_mem')"""


class Client:
    def __init__(self, world, number):
        self.world, self.number = world, number
        self.random = random.Random(world.seed * 1000 + number)
        self.name = f"client {number}"
        kind = number % 8
        self.lease_name = {0: "home", 4: "reader"}.get(kind, f"central {number % 3}")
        self.plain = kind in (2, 6)  # prepares nothing by itself, and so may say DISCARD ALL
        self.connection = self.lease = None
        self.hung_up = False
        self.past = collections.deque(maxlen=12)
        self.lost_in_outage = collections.Counter()
        self.writes = 0

    # What PostgreSQL should show.

    def forget_pins(self):
        self.temporary, self.channels, self.locks, self.cursors = [], [], [], []
        self.cursor_at = 0

    def pinned(self):
        return self.temporary or self.channels or self.locks or self.cursors or self.sql_prepared

    def at(self):
        database = f"tenant_{self.tenant}_alpha" if self.tenant else "alpha_central"
        role = database + ("_ro" if self.lease.read_only else "")
        return (database, role, self.tenant or "central", *self.settings.values())

    async def execute(self, statement, parameters=None, **how):
        self.past.append(statement if isinstance(statement, str) else statement.as_string())
        begun = time.monotonic()
        try:
            cursor = await self.connection.execute(statement, parameters, **how)
        except ValueError as error:
            raise await self.lost_count(error) from error
        self.heard(begun)
        took = time.monotonic() - begun
        if took > self.world.slowest[0] and "pg_sleep" not in self.past[-1]:
            self.world.slowest = (took, self.past[-1])
        return cursor

    async def lost_count(self, error):
        """psycopg's own: the last answer before Sync was there, and then the server was lost, which is one too many."""
        await self.connection.close()
        return psycopg.OperationalError(f"psycopg did not understand: {error}")

    def heard(self, asked):
        revoked = self.lease.revoked_at
        if revoked is None:
            return
        if asked > revoked + REVOKED_WITHIN:
            raise Violation(f"an answer to what was asked {asked - revoked:.1f} s after the lease was revoked")
        if time.monotonic() > revoked + REVOKED_WITHIN + 2 * self.world.lateness:
            raise Violation(f"an answer {time.monotonic() - revoked:.1f} s after the lease was revoked")

    async def look(self, why):
        cursor = await self.execute(LIGHT)
        self.world.check(why, await cursor.fetchone(), self.at())

    async def look_closely(self, why):
        cursor = await self.execute(FULL)
        own = (sorted(self.temporary), sorted(self.channels), sorted(self.locks), sorted(self.cursors), "0", "4MB")
        self.world.check(why, await cursor.fetchone(), own)

    def notified(self, notification):
        if notification.channel not in self.channels:
            self.stray = f"a notification for {notification.channel!r}, listening to {self.channels}"

    # Life.

    async def live(self):
        while not self.world.over:
            watchdog = asyncio.get_running_loop().call_later(STUCK, self.hang_up)
            try:
                if self.connection is None or self.connection.closed:
                    await self.connect()
                action = self.choose()
                self.past.append(f"-- {action.__name__}")
                await action()
                self.world.actions[action.__name__] += 1
                if self.stray:
                    raise Violation(self.stray)
            except psycopg.Error as error:
                if self.hung_up:
                    raise Violation(f"no answer within {STUCK} s") from None
                self.judge(error)
                await self.recover()
            finally:
                watchdog.cancel()
        if self.connection is not None:
            await self.connection.close()

    def hang_up(self):
        """A mere time-out would have psycopg cancel the query, and wait for the answer to that for ever."""
        self.hung_up = True
        if self.connection is not None and not self.connection.closed:
            with socket.socket(fileno=os.dup(self.connection.fileno())) as way:
                way.shutdown(socket.SHUT_RDWR)

    async def connect(self):
        self.lease = self.world.leases[self.lease_name]
        zone, path = f"Etc/GMT+{self.random.randrange(1, 12)}", f"own_{self.number},public"
        self.baseline = {"application_name": self.name, "TimeZone": zone, "search_path": path}
        self.past.append(f"-- connect by {self.lease_name}")
        self.connection = await AsyncConnection.connect(
            self.lease.dsn, autocommit=True, prepare_threshold=None if self.plain else 0, connect_timeout=STUCK,
            application_name=self.name, options=f"-c TimeZone={zone} -c search_path={path}")
        self.connection.add_notify_handler(self.notified)
        self.settings, self.tenant = dict(self.baseline), self.lease.home
        self.sql_prepared = False
        self.stray = None
        self.forget_pins()
        await self.look("after connecting")

    def judge(self, error):
        """Returns if there is a fault that explains the error; each explains no more than it can."""
        state, world = error.sqlstate, self.world
        if self.lease.revoking and state in ENDED:
            world.tolerated["lease revoked"] += 1
            return
        if state not in LOST:
            raise Violation(f"{type(error).__name__} {state}: {error}")
        outage = world.outage()
        if outage is not None:
            self.lost_in_outage[outage] += 1
            if self.lost_in_outage[outage] > 2:
                raise Violation(f"failed a third time for one restart, instead of waiting: {state} {error}")
            world.tolerated["instance restarted"] += 1
        elif world.lost_to_kills < world.kills:
            world.lost_to_kills += 1
            world.tolerated["server killed"] += 1
        else:
            raise Violation(f"an error that no fault explains, after {world.kills} kills: {state} {error}")

    async def recover(self):
        """After its server was lost: out of the transaction, and without what the server had."""
        if self.connection is None:
            return
        if self.lease.revoking or self.connection.broken:
            await self.connection.close()
            self.connection = None
            return
        self.forget_pins()
        try:
            await self.connection.rollback()
        except psycopg.Error as error:
            self.past.append(f"-- ROLLBACK failed: {error}")
            await self.connection.close()
            self.connection = None

    def choose(self):
        actions = {self.read: 20, self.change_settings: 8, self.settings_that_end: 6, self.fail: 6, self.cancel: 3,
                   self.reset_all: 2, self.leave: 2, self.look_around: 6}
        if not self.lease.read_only:
            actions |= {self.transact: 20, self.insert: 8, self.pipeline: 5, self.hold: 4, self.notify: 4}
        if self.lease_name.startswith("central"):
            actions |= {self.switch: 25, self.be_refused: 3}
        if self.plain:
            actions |= {self.discard_all: 3}
        return self.random.choices(list(actions), list(actions.values()))[0]

    # Actions. Each ends with the session as the model has it, or raises.

    async def read(self):
        await self.look("between transactions")

    async def look_around(self):
        await self.look_closely("what is left in the session")

    async def switch(self):
        tenant = self.random.choice(TENANTS)
        match self.random.randrange(3):
            case 0:
                await self.execute(sql.SQL("SET leasehold.tenant = {}").format(tenant))
            case 1:
                await self.execute("SELECT set_config('leasehold.tenant', %s, false)", [tenant])
            case 2:
                await self.execute("RESET leasehold.tenant")
                tenant = self.lease.home
        if tenant != self.tenant:
            self.forget_pins()
        self.tenant = tenant
        await self.look("after a switch")

    async def be_refused(self):
        for state, tenant in (("3D000", "nobody"), ("25001", next(t for t in TENANTS if t != self.tenant))):
            await self.expect(state, "SELECT set_config('leasehold.tenant', %s, false)", tenant,
                              in_transaction=state == "25001")
            await self.look("after a switch that was refused")

    async def expect(self, state, statement, *parameters, in_transaction=False):
        """`statement` fails with `state`; the transaction that it fails is ended."""
        if in_transaction:
            await self.execute("BEGIN")
            await self.look("in a transaction")
        try:
            await self.execute(statement, parameters)
        except psycopg.Error as error:
            if error.sqlstate != state:
                raise
        else:
            raise Violation(f"{statement}: expected {state}, but it worked")
        if in_transaction:
            self.world.check("the transaction", self.connection.info.transaction_status, TransactionStatus.INERROR)
            await self.execute("ROLLBACK")

    async def fail(self):
        await self.expect("22012", "SELECT 1 / %s::int", 0, in_transaction=self.random.random() < 0.7)
        await self.look("after an error")

    def next_write(self):
        self.writes += 1
        return self.tenant or "central", self.name, self.writes

    async def insert(self):
        write = self.next_write()
        try:
            insert = "INSERT INTO entries (client, number) VALUES (%s, %s) RETURNING current_database()"
            cursor = await self.execute(insert, write[1:])
            self.world.check("where a row went", (await cursor.fetchone())[0], self.at()[0])
        except psycopg.Error:
            self.world.unanswered.add(write)
            raise
        self.world.acknowledged.add(write)

    async def transact(self):
        writes = [self.next_write() for _ in range(self.random.randrange(1, 4))]
        commits = self.random.random() < 0.8
        await self.execute("BEGIN")
        await self.look("at a transaction's start")
        for write in writes:
            await self.execute("INSERT INTO entries (client, number) VALUES (%s, %s)", write[1:])
        await self.look("at a transaction's end")
        if not commits:
            await self.execute("ROLLBACK")
            return
        try:
            await self.execute("COMMIT")
        except psycopg.Error:
            self.world.unanswered.update(writes)
            raise
        self.world.acknowledged.update(writes)

    async def pipeline(self):
        try:
            async with self.connection.pipeline():
                cursors = [await self.execute("SELECT current_database(), %s::int", [i]) for i in range(20)]
                for i, cursor in enumerate(cursors):
                    self.world.check("in a pipeline", await cursor.fetchone(), (self.at()[0], i))
        except (ValueError, IndexError) as error:
            raise await self.lost_count(error) from error

    async def change_settings(self):
        name, value = self.random.choice([
            ("application_name", f"{self.name} {self.random.randrange(100)}"),
            ("TimeZone", f"Etc/GMT+{self.random.randrange(1, 12)}"),
            ("search_path", f"own_{self.number}_{self.random.randrange(100)}, public")])
        if self.random.random() < 0.5:
            await self.execute(f"SELECT set_config('{name}', %s, false)", [value])
        elif name == "search_path":
            await self.execute(f"SET search_path = {value}")
        else:
            await self.execute(f"SET {name} = '{value}'")
        self.settings[name] = value
        await self.look("after SET")

    async def settings_that_end(self):
        await self.execute("BEGIN")
        local = self.random.choice(["LOCAL ", ""])
        await self.execute(f"SET {local}TimeZone = 'Europe/Madrid'")
        await self.execute(f"SET {local}search_path = pg_catalog, public")
        await self.execute(f"SET {local}statement_timeout = '45s'")
        cursor = await self.execute("SELECT current_setting('TimeZone')")
        self.world.check("in the transaction", await cursor.fetchone(), ("Europe/Madrid",))
        await self.execute("COMMIT" if local and self.random.random() < 0.5 else "ROLLBACK")
        await self.look("after settings that were the transaction's")

    async def reset_all(self):
        await self.execute("RESET ALL")
        self.went_home()
        await self.look("after RESET ALL")

    async def discard_all(self):
        await self.execute("DISCARD ALL")
        self.went_home()
        self.forget_pins()
        self.sql_prepared = False
        await self.look("after DISCARD ALL")
        await self.look_closely("after DISCARD ALL")

    def went_home(self):
        if self.tenant != self.lease.home:
            self.forget_pins()
        self.settings, self.tenant = dict(self.baseline), self.lease.home

    async def cancel(self):
        asleep = asyncio.create_task(self.execute("SELECT pg_sleep(20)"))
        try:
            while not asleep.done():
                await asyncio.wait([asleep], timeout=self.random.uniform(0, 0.2))
                if not asleep.done():
                    await self.connection.cancel_safe(timeout=30)
        except asyncio.CancelledError:
            asleep.cancel()
            raise
        finally:
            result = (await asyncio.gather(asleep, return_exceptions=True))[0]
        if not isinstance(result, psycopg.Error):
            raise Violation(f"a cancelled query: expected 57014, got {result!r}")
        if result.sqlstate != "57014":
            raise result
        await self.look("after a cancel")

    async def notify(self):
        other = self.random.randrange(64)
        await self.execute(f"NOTIFY chan_{other}, '{self.tenant}'")

    async def leave(self):
        if self.random.random() < 0.5:
            await self.execute("BEGIN")  # and say no more
            await self.look("before leaving")
        await self.connection.close()
        self.connection = None

    async def hold(self):
        """What pins a server connection to its client: some of it, for some time, and an end of one kind or another."""
        if self.world.pins.locked():
            return await self.read()
        async with self.world.pins:
            kinds = [self.make_temporary, self.listen, self.lock, self.declare]
            if self.plain:
                kinds.append(self.prepare_by_sql)
            for make in self.random.sample(kinds, self.random.randrange(1, 4)):
                await make()
            for _ in range(self.random.randrange(2, 8)):
                await self.random.choice([self.read, self.look_around, self.insert, self.transact, self.use_held])()
            ends = [self.let_go, self.leave, self.reset_all]
            if self.lease_name.startswith("central"):
                ends.append(self.switch)
            if self.plain:
                ends.append(self.discard_all)
            await self.random.choice(ends)()
            if self.connection is not None and self.pinned():
                await self.let_go()  # a switch home that was none, or RESET ALL, lets go of nothing

    async def prepare_by_sql(self):
        """SQL's PREPARE, under a name that all clients use, for what only this one means."""
        await self.execute(f"PREPARE mine AS SELECT {self.number} + $1::int, current_database()")
        self.sql_prepared = True

    async def make_temporary(self):
        name = f"mine_{self.number}"
        await self.execute(f"CREATE TEMPORARY TABLE {name} AS SELECT {self.number} AS owner", prepare=False)
        self.temporary = [name]

    async def listen(self):
        name = f"chan_{self.number}"
        self.channels = [name]  # from now on it may be told
        await self.execute(f"LISTEN {name}", prepare=False)

    async def lock(self):
        await self.execute(f"SELECT pg_advisory_lock({self.number})", prepare=False)
        self.locks = [self.number]

    async def declare(self):
        name = f"cursor_{self.number}"
        await self.execute(f"DECLARE {name} CURSOR WITH HOLD FOR SELECT generate_series({self.number}, 100000)",
                           prepare=False)
        self.cursors, self.cursor_at = [name], self.number

    async def use_held(self):
        for name in self.temporary:
            cursor = await self.execute(f"SELECT owner FROM pg_temp.{name}", prepare=False)
            self.world.check("a temporary table", await cursor.fetchone(), (self.number,))
        for name in self.cursors:
            cursor = await self.execute(f"FETCH 3 FROM {name}", prepare=False)
            self.world.check("a cursor", [row[0] for row in await cursor.fetchall()],
                             list(range(self.cursor_at, self.cursor_at + 3)))
            self.cursor_at += 3
        if self.sql_prepared:
            cursor = await self.execute("EXECUTE mine (1000)", prepare=False)
            self.world.check("EXECUTE", await cursor.fetchone(), (self.number + 1000, self.at()[0]))
        for name in self.channels:
            got = asyncio.get_running_loop().create_future()

            def heard(notification):
                if notification.payload == f"from {self.number}" and not got.done():
                    got.set_result(notification.channel)

            self.connection.add_notify_handler(heard)
            await self.execute(f"NOTIFY {name}, 'from {self.number}'", prepare=False)
            while not got.done():
                await self.execute("SELECT 1")
            self.connection.remove_notify_handler(heard)
            self.world.check("a notification", got.result(), name)

    async def let_go(self):
        for name in self.temporary:
            await self.execute(f"DROP TABLE pg_temp.{name}", prepare=False)
        if self.channels:
            await self.execute("UNLISTEN *", prepare=False)
        for number in self.locks:
            await self.execute(f"SELECT pg_advisory_unlock({number})", prepare=False)
        for name in self.cursors:
            await self.execute(f"CLOSE {name}", prepare=False)
        if self.sql_prepared:
            await self.execute("DEALLOCATE mine", prepare=False)
            self.sql_prepared = False
        self.forget_pins()
        await self.look_closely("after letting go")
