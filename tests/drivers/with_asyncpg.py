"""The SQL endpoint as asyncpg meets it. Run by run.py; arguments pick cases by a word of their names.

asyncpg prepares every statement that has an answer under a name, keeps the 100 last, and checks what comes back against
what it was told when it prepared.
"""

import asyncio
import contextlib
import hashlib
import io
import os
import random
import sys
import time

import asyncpg

CENTRAL = os.environ["CENTRAL_DSN"]  # may switch to every tenant
TENANT = os.environ["TENANT_DSN"]  # of the first tenant, and may switch to none
TENANTS = os.environ["TENANTS"].split(",")
HOME = TENANTS[0]
WHERE = "SELECT current_database(), tenant FROM place"


@contextlib.asynccontextmanager
async def connect(dsn=CENTRAL, **more):
    connection = await asyncpg.connect(dsn, timeout=60, **more)
    try:
        yield connection
    finally:
        await connection.close(timeout=10)


def expect(what, got, expected):
    if got != expected:
        raise AssertionError(f"{what}: expected {expected!r}, got {got!r}")


@contextlib.contextmanager
def expect_error(what, sqlstate):
    try:
        yield
    except asyncpg.PostgresError as error:
        expect(f"{what} ({error})", error.sqlstate, sqlstate)
    else:
        raise AssertionError(f"{what}: expected {sqlstate}, but it worked")


async def expect_place(what, connection, tenant):
    place = (f"tenant_{tenant}_alpha", tenant) if tenant else ("alpha_central", "central")
    expect(what, tuple(await connection.fetchrow(WHERE)), place)


async def switch(connection, tenant):
    await connection.fetchval("SELECT set_config('leasehold.tenant', $1, false)", tenant)


async def everywhere(work, count):
    """work(0) … work(count - 1) at the same time; raises what went wrong first, and stops the others."""
    async with asyncio.TaskGroup() as group:
        for i in range(count):
            group.create_task(work(i))


async def others_at_work(count=12):
    """Other clients' transactions, enough that every server connection has served somebody else meanwhile."""

    async def work(i):
        async with connect() as other:
            await switch(other, TENANTS[i % len(TENANTS)])
            await other.execute(f"SET TimeZone = 'UTC+{i % 12}'; SELECT pg_sleep(0.02)")

    await everywhere(work, count)


async def simple_query():
    async with connect(TENANT) as connection:
        await expect_place("where the lease begins", connection, HOME)
        expect("the last tag", await connection.execute("SELECT 1; SELECT 2; SET work_mem = '5MB'"), "SET")
        expect("many rows", await connection.execute("SELECT generate_series(1, 50000)"), "SELECT 50000")


async def bound_parameters():
    async with connect(TENANT, statement_cache_size=0) as connection:
        row = await connection.fetchrow("SELECT $1::int, $2::text, $3::bytea, $4::float8, $5::int[], $6::text",
                                        7, "é", b"\0\xff", 0.5, [1, 2], None)
        expect("values", tuple(row), (7, "é", b"\0\xff", 0.5, [1, 2], None))
        # An answer's type that asyncpg does not know makes it ask the server about it, between Parse and Bind.
        await connection.execute("DROP TYPE IF EXISTS mood; CREATE TYPE mood AS ENUM ('fine', 'better')")
        expect("a type of the database's own", await connection.fetchval("SELECT ARRAY[$1::mood]", "fine"), ["fine"])


async def prepared_statements():
    async with connect(TENANT) as connection:
        kept = await connection.prepare("SELECT $1::int + 1")
        for i in range(100):
            expect("a sum", await kept.fetchval(i), i + 1)
            expect("a text", await connection.fetchval("SELECT $1::text || '!'", str(i)), f"{i}!")
        if await connection.fetchval("SELECT count(*) FROM pg_prepared_statements") < 2:
            raise AssertionError("the server has not prepared what asyncpg prepared")
        for i in range(300):  # more texts than asyncpg keeps: it closes the oldest
            expect("one of many", await connection.fetchval(f"SELECT {i} + $1::int", 1), i + 1)
        await connection.executemany("SELECT $1::int", [(i,) for i in range(1000)])
        expect("the one that was kept", await kept.fetchval(41), 42)


async def prepared_then_changed():
    async with connect(TENANT) as connection, connect(TENANT) as other:
        await connection.execute("DROP TABLE IF EXISTS shape; CREATE TABLE shape (a int); INSERT INTO shape VALUES (1)")
        for _ in range(3):
            expect("before", tuple(await other.fetchrow("SELECT * FROM shape")), (1,))
        await connection.execute("ALTER TABLE shape ADD COLUMN b text DEFAULT 'new'")
        # asyncpg itself hears 0A000 ("cached plan must not change result type") and prepares again.
        expect("after", tuple(await other.fetchrow("SELECT * FROM shape")), (1, "new"))
        await connection.execute("ALTER TABLE shape ALTER COLUMN a TYPE bigint")
        async with other.transaction():
            expect("in a transaction", await other.fetchval("SELECT 1"), 1)
        expect("after a type's change", tuple(await other.fetchrow("SELECT * FROM shape")), (1, "new"))


async def cursor_in_parts():
    async with connect(TENANT) as connection:
        async with connection.transaction():
            total = 0
            async for row in connection.cursor("SELECT i FROM generate_series(1, $1::int) i", 1050, prefetch=100):
                total += row[0]
        expect("rows in parts", total, 1050 * 1051 // 2)
        async with connection.transaction():
            cursor = await connection.cursor("SELECT generate_series(1, 1000)")
            await cursor.forward(10)
            expect("in the middle", (await cursor.fetchrow())[0], 11)
        expect("after a cursor that was left open", await connection.fetchval("SELECT 1"), 1)


async def copy_in_and_out():
    lines = 200_000
    async with connect(TENANT) as connection:
        async with connection.transaction():
            await connection.copy_records_to_table("entries", columns=["client", "number"],
                                                   records=(("asyncpg copy", i) for i in range(lines)))
            count = "SELECT count(*) FROM entries WHERE client = 'asyncpg copy'"
            expect("rows in", await connection.fetchval(count), lines)
        out = io.BytesIO()
        await connection.copy_from_query("SELECT number FROM entries WHERE client = $1", "asyncpg copy", output=out)
        expect("rows out", sum(map(int, out.getvalue().split())), lines * (lines - 1) // 2)
        await connection.execute("DELETE FROM entries WHERE client = 'asyncpg copy'")
        with expect_error("a bad line", "22P02"):
            source = io.BytesIO(b"x\tnot a number\n")
            await connection.copy_to_table("entries", columns=["client", "number"], source=source)
        expect("after a COPY that failed", await connection.fetchval("SELECT 1"), 1)


async def cancel():
    async with connect(TENANT) as connection, connect(TENANT) as other:
        running = ("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND wait_event = 'PgSleep'"
                   " AND pid <> pg_backend_pid()")
        for i in range(10):
            sleeper = asyncio.create_task(connection.execute("SELECT pg_sleep(60)"))
            while not await other.fetchval(running):
                pass
            sleeper.cancel()  # asyncpg sends a CancelRequest
            with contextlib.suppress(asyncio.CancelledError):
                await sleeper
            expect("after a cancel", await connection.fetchval("SELECT $1::int", i), i)
            expect("who was not cancelled", await other.fetchval("SELECT $1::int", i), i)
            expect("what still runs", await other.fetchval(running), 0)
        for i in range(10):
            with contextlib.suppress(TimeoutError):
                await connection.fetch("SELECT pg_sleep(60)", timeout=0.05)
                raise AssertionError("a query of 60 s ended within 50 ms")
            expect("after a time-out", await connection.fetchval("SELECT $1::int", i), i)


async def large_values():
    large = random.Random(1).randbytes(8 << 20)
    async with connect(TENANT) as connection:
        for _ in range(2):
            back, digest = await connection.fetchrow("SELECT $1::bytea, md5($1::bytea)", large)
            expect("8 MiB back", back == large, True)
            expect("what the server got", digest, hashlib.md5(large).hexdigest())
        expect("in a text", len((await connection.fetchval("SELECT repeat('é', $1)", 4 << 20)).encode()), 8 << 20)
        expect("in the query's text", len(await connection.fetchval("SELECT '" + "x" * (8 << 20) + "'")), 8 << 20)
        expect("after them", await connection.fetchval("SELECT 1"), 1)


async def long_statements():
    """What object mappers send to insert many rows: 180 kB of text, and 10,000 parameters."""
    values = ", ".join(f"(${i}::bigint)" for i in range(1, 10_001))
    statement = f"SELECT sum(v) FROM (VALUES {values}) AS many (v)"
    async with connect(max_cacheable_statement_size=0) as connection:
        for tenant in (None, HOME, HOME):
            if tenant:
                await switch(connection, tenant)
            expect("a sum", await connection.fetchval(statement, *range(10_000)), 10_000 * 9_999 // 2)
        async with connection.transaction():
            expect("in a transaction", await connection.fetchval(statement, *[1] * 10_000), 10_000)


async def errors_in_transactions():
    async with connect(TENANT) as connection:
        for i in range(20):
            transaction = connection.transaction()
            await transaction.start()
            await connection.fetchval("SELECT $1::int", i)
            with expect_error("a failing statement", "22012"):
                await connection.fetchval("SELECT 1 / $1::int", 0)
            with expect_error("a statement after it", "25P02"):
                await connection.fetchval("SELECT $1::int", i)
            await transaction.rollback()
            expect("after ROLLBACK", await connection.fetchval("SELECT $1::int", i), i)
        await connection.execute("DELETE FROM entries WHERE client = 'asyncpg errors'")
        insert = "INSERT INTO entries (client, number) VALUES ('asyncpg errors', 1)"
        async with connection.transaction():
            await connection.execute(insert)
            with expect_error("a doubled key", "23505"):
                async with connection.transaction():
                    await connection.execute(insert)
            count = "SELECT count(*) FROM entries WHERE client = 'asyncpg errors'"
            expect("around it", await connection.fetchval(count), 1)


SETTINGS = "SELECT current_setting('application_name'), current_setting('TimeZone'), current_setting('search_path')"


async def settings():
    """Each client has its own, whoever else uses the same server connections meanwhile."""

    async def work(i):
        own = (f"client {i}", f"Etc/GMT+{i % 12 + 1}", f"own_{i}, public")
        async with connect(TENANT, server_settings={"application_name": own[0]}) as connection:
            await connection.execute(f"SET TimeZone = '{own[1]}'")
            await connection.fetchval("SELECT set_config('search_path', $1, false)", own[2])
            for n in range(50):
                async with connection.transaction():
                    expect("in a transaction", tuple(await connection.fetchrow(SETTINGS)), own)
                expect("between transactions", tuple(await connection.fetchrow(SETTINGS)), own)
                if n % 10 == 3:
                    transaction = connection.transaction()
                    await transaction.start()
                    await connection.execute("SET TimeZone = 'Europe/Madrid'; SET application_name = 'not for long'")
                    await transaction.rollback()
                if n % 10 == 6:
                    async with connection.transaction():
                        await connection.execute("SET LOCAL TimeZone = 'Europe/Madrid'; SET LOCAL search_path = x")
            expect("as told by ParameterStatus", connection.get_settings().TimeZone, own[1])

    await everywhere(work, 24)


async def refused_switches():
    async with connect(TENANT) as connection:
        with expect_error("a tenant that is not the lease's", "42501"):
            await connection.execute(f"SET leasehold.tenant = '{TENANTS[1]}'")
        await expect_place("after the refusal", connection, HOME)
        with expect_error("the same, bound", "42501"):
            await switch(connection, TENANTS[1])
        await expect_place("after it", connection, HOME)
        expect("SHOW", await connection.fetchval("SHOW leasehold.tenant"), HOME)
    async with connect() as connection:
        await switch(connection, TENANTS[1])
        with expect_error("a tenant that there is not", "3D000"):
            await switch(connection, "nobody")
        with expect_error("no tenant's id", "22023"):
            await switch(connection, "No Id")
        await expect_place("after the refusals", connection, TENANTS[1])
        with expect_error("a switch in a transaction", "25001"):
            async with connection.transaction():
                await expect_place("in the transaction", connection, TENANTS[1])
                await connection.execute(f"SET leasehold.tenant = '{TENANTS[2]}'")
        await expect_place("after the transaction", connection, TENANTS[1])
        async with connection.transaction():
            with expect_error("a switch in a savepoint", "25001"):
                async with connection.transaction():
                    await switch(connection, TENANTS[2])
            await expect_place("after the savepoint", connection, TENANTS[1])
        expect("SHOW", (await connection.fetchrow("SHOW leasehold.session"))["tenant"], TENANTS[1])


async def settings_after_a_switch():
    async with connect() as connection:
        await connection.execute("SET application_name = 'wanderer'")
        await connection.execute("SET TimeZone = 'Etc/GMT+5'")
        await connection.execute("SET search_path = own, public")
        for tenant in TENANTS * 3:
            await switch(connection, tenant)
            expect(f"at {tenant}", tuple(await connection.fetchrow(SETTINGS)), ("wanderer", "Etc/GMT+5", "own, public"))
            await expect_place("and it is", connection, tenant)


async def prepared_after_a_switch():
    async with connect() as connection:
        await switch(connection, HOME)
        kept = await connection.prepare("SELECT $1::int * 2")
        for i, tenant in enumerate(TENANTS * 5):
            await switch(connection, tenant)
            for n in range(3):
                await expect_place("by a prepared statement", connection, tenant)
                expect("by another", await kept.fetchval(i + n), (i + n) * 2)
        await switch(connection, HOME)
        await others_at_work()
        await expect_place("after others' work", connection, HOME)
        expect("by the kept one after it", await kept.fetchval(21), 42)


async def a_pool():
    """asyncpg's pool says RESET ALL when it takes a connection back: the next one finds it where the lease begins."""
    async with asyncpg.create_pool(CENTRAL, min_size=1, max_size=3) as pool:

        async def work(i):
            moves = random.Random(i)
            for n in range(20):
                async with pool.acquire() as connection:
                    await expect_place(f"task {i} has just got a connection", connection, None)
                    tenant = moves.choice(TENANTS)
                    await switch(connection, tenant)
                    await connection.execute(f"SET application_name = 'task {i}'")
                    await expect_place(f"task {i}, move {n}", connection, tenant)

        await everywhere(work, 9)


async def switching_under_concurrency():
    async def work(i):
        moves = random.Random(i)
        async with connect() as connection:
            for n in range(200):
                tenant = moves.choice(TENANTS)
                match moves.randrange(3):
                    case 0:
                        await connection.execute(f"SET leasehold.tenant = '{tenant}'")
                    case 1:
                        await switch(connection, tenant)
                    case 2:
                        await connection.execute("RESET leasehold.tenant")
                        tenant = None
                await expect_place(f"client {i}, move {n}", connection, tenant)

    await everywhere(work, 8)


async def more_clients_than_servers():
    all_here = asyncio.Barrier(60)

    async def work(i):
        moves = random.Random(i)
        async with connect(TENANT if i % 4 == 0 else CENTRAL) as connection:
            await all_here.wait()  # all are connected at the same time
            for n in range(10):
                tenant = HOME
                if i % 4 != 0:
                    tenant = moves.choice(TENANTS)
                    await switch(connection, tenant)
                async with connection.transaction():
                    await expect_place(f"client {i}", connection, tenant)
                    await connection.execute("INSERT INTO entries (client, number) VALUES ($1, $2)", f"asyncpg {i}", n)
                    await expect_place(f"client {i} at its end", connection, tenant)
            await all_here.wait()

    await everywhere(work, 60)


CASES = [simple_query, bound_parameters, prepared_statements, prepared_then_changed, cursor_in_parts, copy_in_and_out,
         cancel, large_values, long_statements, errors_in_transactions, settings, refused_switches, settings_after_a_switch,
         prepared_after_a_switch, a_pool, switching_under_concurrency, more_clients_than_servers]


def first_of(error):
    return first_of(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


def main():
    print(f"asyncpg {asyncpg.__version__}", flush=True)
    for case in CASES:
        name = case.__name__.replace("_", " ")
        if sys.argv[1:] and not any(word in name for word in sys.argv[1:]):
            continue
        begun = time.monotonic()
        try:
            asyncio.run(case())
        except Exception as group:  # whatever it is, the first failure is the last line
            error = first_of(group)
            print(f"FAILED  {name}: {type(error).__name__}: {error}", flush=True)
            sys.exit(1)
        print(f"ok  {name}  {time.monotonic() - begun:.2f} s", flush=True)


main()
