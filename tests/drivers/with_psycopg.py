"""The SQL endpoint as psycopg 3 meets it. Run by run.py; arguments pick cases by a word of their names."""

import contextlib
import hashlib
import os
import random
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
from psycopg import errors, sql
from psycopg.pq import TransactionStatus

CENTRAL = os.environ["CENTRAL_DSN"]  # may switch to every tenant
TENANT = os.environ["TENANT_DSN"]  # of the first tenant, and may switch to none
TENANTS = os.environ["TENANTS"].split(",")
HOME = TENANTS[0]
WHERE = "SELECT current_database(), tenant FROM place"


def connect(dsn=CENTRAL, **more):
    """Prepares each statement under a name on the server when it is first used."""
    return psycopg.connect(dsn, autocommit=True, prepare_threshold=0, connect_timeout=60, **more)


def expect(what, got, expected):
    if got != expected:
        raise AssertionError(f"{what}: expected {expected!r}, got {got!r}")


@contextlib.contextmanager
def expect_error(what, sqlstate):
    try:
        yield
    except psycopg.Error as error:
        expect(f"{what} ({error})", error.sqlstate, sqlstate)
    else:
        raise AssertionError(f"{what}: expected {sqlstate}, but it worked")


def value(connection, statement, parameters=None, **how):
    return connection.execute(statement, parameters, **how).fetchone()[0]


def place(tenant):
    """What WHERE answers there; no tenant: the central database."""
    return (f"tenant_{tenant}_alpha", tenant) if tenant else ("alpha_central", "central")


def expect_place(what, connection, tenant, **how):
    expect(what, connection.execute(WHERE, **how).fetchone(), place(tenant))


def switch(connection, tenant):
    value(connection, "SELECT set_config('leasehold.tenant', %s, false)", [tenant])


def everywhere(work, count):
    """Runs work(0) … work(count - 1) at the same time, each on a thread; raises what went wrong first."""
    failures = []

    def one(i):
        try:
            work(i)
        except Exception as error:
            failures.append(error)

    with ThreadPoolExecutor(count) as threads:
        for i in range(count):
            threads.submit(one, i)
    if failures:
        raise failures[0]


def others_at_work(count=12):
    """Other clients' transactions, enough that every server connection has served somebody else meanwhile."""

    def work(i):
        with connect() as other:
            switch(other, TENANTS[i % len(TENANTS)])
            other.execute(sql.SQL("SET TimeZone = {}").format(f"UTC+{i % 12}"))
            other.execute("SELECT pg_sleep(0.02)")

    everywhere(work, count)


def simple_query():
    with connect(TENANT, cursor_factory=psycopg.ClientCursor) as connection:  # values are pasted in, as text
        expect_place("where the lease begins", connection, HOME)
        expect("a value", value(connection, "SELECT %s || 'b'", ["a"]), "ab")
        cursor = connection.execute("SELECT 1; SELECT 2; SELECT 3")
        results = [cursor.fetchone()[0]]
        while cursor.nextset():
            results.append(cursor.fetchone()[0])
        expect("statements in one string", results, [1, 2, 3])
        expect("many rows", len(connection.execute("SELECT generate_series(1, 50000)").fetchall()), 50000)


def bound_parameters():
    with connect(TENANT) as connection:
        for binary in (False, True):
            row = connection.execute(
                "SELECT %s::int, %s::text, %s::bytea, %s::float8, %s::int[], %s::text",
                [7, "é", b"\0\xff", 0.5, [1, 2], None], binary=binary, prepare=False).fetchone()
            expect(f"values, binary: {binary}", row, (7, "é", b"\0\xff", 0.5, [1, 2], None))


def prepared_statements():
    with connect(TENANT) as connection:
        for i in range(100):
            expect("a sum", value(connection, "SELECT %s::int + 1", [i]), i + 1)
            expect("a text", value(connection, "SELECT %s::text || '!'", [str(i)]), f"{i}!")
        # The server has them under psycopg's names, wherever this session's statements run.
        names = connection.execute("SELECT count(*) FROM pg_prepared_statements", prepare=False).fetchone()[0]
        if names < 2:
            raise AssertionError(f"prepared on the server: expected at least 2, got {names}")
        for i in range(300):  # more texts than psycopg keeps: it deallocates the oldest
            expect("one of many", value(connection, f"SELECT {i} + %s::int", [1]), i + 1)


def prepared_then_changed():
    with connect(TENANT) as connection:
        connection.execute("DROP TABLE IF EXISTS shape; CREATE TABLE shape (a int)", prepare=False)
        connection.execute("INSERT INTO shape VALUES (1)")
        with connect(TENANT) as other:  # whose client does not know of the change
            for _ in range(3):
                expect("before", other.execute("SELECT * FROM shape").fetchone(), (1,))
            connection.execute("ALTER TABLE shape ADD COLUMN b text DEFAULT 'new'")
            # PostgreSQL says 0A000 to this from now on and for ever. The gateway does not, since libpq asks for the
            # columns each time.
            expect("after", other.execute("SELECT * FROM shape").fetchone(), (1, "new"))


def pipeline():
    with connect() as connection:
        with connection.pipeline():
            cursors = [connection.execute("SELECT %s::int, %s::text", [i, "x" * i]) for i in range(500)]
            for i, cursor in enumerate(cursors):
                expect("an answer in its order", cursor.fetchone(), (i, "x" * i))
        for tenant in TENANTS:  # a switch, and its reading back, without waiting in between
            with connection.pipeline() as batch:
                switch_cursor = connection.execute("SELECT set_config('leasehold.tenant', %s, false)", [tenant])
                batch.sync()
                cursor = connection.execute(WHERE)
                expect("the switch's answer", switch_cursor.fetchone(), (tenant,))
                expect("behind a switch in the same pipeline", cursor.fetchone(), place(tenant))
        with expect_error("a failure in a pipeline", "22012"):
            with connection.pipeline():
                connection.execute("SELECT 1")
                connection.execute("SELECT 1 / %s::int", [0])
                connection.execute("SELECT 2")
        expect_place("after it", connection, TENANTS[-1])


def cursor_in_parts():
    with connect(TENANT) as connection:
        with connection.transaction():
            with connection.cursor(name="parts") as cursor:
                cursor.itersize = 100
                cursor.execute("SELECT i FROM generate_series(1, %s::int) i", [1050])
                expect("rows in parts", sum(row[0] for row in cursor), 1050 * 1051 // 2)
        expect("after it", value(connection, "SELECT 1"), 1)


def copy_in_and_out():
    lines = 50_000
    with connect(TENANT) as connection, connection.transaction(force_rollback=True), connection.cursor() as cursor:
        with cursor.copy("COPY entries (client, number) FROM STDIN") as copy:
            for i in range(lines):
                copy.write_row(("psycopg copy", i))
        expect("rows in", value(connection, "SELECT count(*) FROM entries WHERE client = 'psycopg copy'"), lines)
        numbers = 0
        rows = "SELECT number FROM entries WHERE client = 'psycopg copy'"
        with cursor.copy(f"COPY ({rows}) TO STDOUT (FORMAT binary)") as copy:
            copy.set_types(["int4"])
            for row in copy.rows():
                numbers += row[0]
        expect("rows out", numbers, lines * (lines - 1) // 2)
    with connect(TENANT) as connection:
        with expect_error("a bad line", "22P02"):
            with connection.cursor().copy("COPY entries (client, number) FROM STDIN") as copy:
                copy.write("x\tnot a number\n")
        expect("after a COPY that failed", value(connection, "SELECT 1"), 1)


def cancel():
    with connect(TENANT) as connection:
        for i in range(10):
            running = threading.Event()

            def cancel_soon():
                running.wait()
                with connect(TENANT) as other:
                    while not value(other, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%%pg_sleep(60)%%' "
                                           "AND wait_event = 'PgSleep' AND pid <> pg_backend_pid()"):
                        pass
                    connection.cancel_safe(timeout=30)
                    expect("who did not run", value(other, "SELECT 1"), 1)

            canceller = threading.Thread(target=cancel_soon)
            canceller.start()
            running.set()
            begun = time.monotonic()
            with expect_error("a cancelled query", "57014"):
                connection.execute("SELECT pg_sleep(60)")
            if time.monotonic() - begun > 20:
                raise AssertionError(f"a cancel took {time.monotonic() - begun:.0f} s")
            canceller.join()
            expect("after a cancel", value(connection, "SELECT %s::int", [i]), i)
        connection.cancel_safe(timeout=30)  # nothing runs
        expect("after a cancel of nothing", value(connection, "SELECT 2"), 2)


def large_values():
    large = random.Random(1).randbytes(8 << 20)
    with connect(TENANT) as connection:
        for binary in (False, True):
            row = connection.execute("SELECT %b::bytea, md5(%b::bytea)", [large, large], binary=binary).fetchone()
            expect(f"8 MiB back, binary: {binary}", row[0] == large, True)
            expect("what the server got", row[1], hashlib.md5(large).hexdigest())
        expect("in a text", len(value(connection, "SELECT repeat('é', %s)", [4 << 20]).encode()), 8 << 20)
        expect("in the query's text", len(value(connection, "SELECT '" + "x" * (8 << 20) + "'", prepare=False)), 8 << 20)
        expect("after them", value(connection, "SELECT 1"), 1)


def long_statements():
    """What object mappers send to insert many rows: 180 kB of text, and 10,000 parameters."""
    statement = f"SELECT sum(v) FROM (VALUES {', '.join(['(%s::bigint)'] * 10_000)}) AS many (v)"
    with connect() as connection:
        for tenant in (None, HOME, HOME):
            if tenant:
                switch(connection, tenant)
            expect("a sum", value(connection, statement, list(range(10_000))), 10_000 * 9_999 // 2)
        with connection.transaction():
            expect("in a transaction", value(connection, statement, [1] * 10_000), 10_000)


def errors_in_transactions():
    with psycopg.connect(TENANT, prepare_threshold=0) as connection:
        for i in range(20):
            connection.execute("SELECT %s::int", [i])
            with expect_error("a failing statement", "22012"):
                connection.execute("SELECT 1 / %s::int", [0])
            expect("its transaction", connection.info.transaction_status, TransactionStatus.INERROR)
            with expect_error("a statement after it", "25P02"):
                connection.execute("SELECT %s::int", [i])
            connection.rollback()
            expect("after ROLLBACK", value(connection, "SELECT %s::int", [i]), i)
            connection.commit()
        with expect_error("a savepoint's failure", "22012"):
            with connection.transaction():
                connection.execute("SELECT 1 / 0")
        with connection.transaction():
            connection.execute("DELETE FROM entries WHERE client = 'psycopg errors'")
            connection.execute("INSERT INTO entries (client, number) VALUES ('psycopg errors', 1)")
            with expect_error("a doubled key", "23505"), connection.transaction():
                connection.execute("INSERT INTO entries (client, number) VALUES ('psycopg errors', 1)")
            expect("around it", value(connection, "SELECT count(*) FROM entries WHERE client = 'psycopg errors'"), 1)


SETTINGS = "SELECT current_setting('application_name'), current_setting('TimeZone'), current_setting('search_path')"


def settings():
    """Each client has its own, whoever else uses the same server connections meanwhile."""

    def work(i):
        own = (f"client {i}", f"Etc/GMT+{i % 12 + 1}", f"own_{i}, public")
        with connect(TENANT, application_name=own[0]) as connection:
            connection.execute(sql.SQL("SET TimeZone = {}").format(own[1]))
            value(connection, "SELECT set_config('search_path', %s, false)", [own[2]])
            for n in range(50):
                with connection.transaction():
                    expect("in a transaction", connection.execute(SETTINGS, prepare=n % 2 == 0).fetchone(), own)
                expect("between transactions", connection.execute(SETTINGS).fetchone(), own)
                if n % 10 == 3:
                    with connection.transaction(force_rollback=True):
                        connection.execute("SET TimeZone = 'Europe/Madrid'")
                        connection.execute("SET application_name = 'not for long'")
                if n % 10 == 6:
                    with connection.transaction():
                        connection.execute("SET LOCAL TimeZone = 'Europe/Madrid'")
                        connection.execute("SET LOCAL search_path = pg_catalog")
            expect("as told by ParameterStatus", connection.info.parameter_status("TimeZone"), own[1])

    everywhere(work, 24)


def settings_after_a_switch():
    own = ("wanderer", "Etc/GMT+5", "own, public")
    with connect() as connection:
        connection.execute("SET application_name = 'wanderer'")
        connection.execute("SET TimeZone = 'Etc/GMT+5'")
        connection.execute("SET search_path = own, public")
        for tenant in TENANTS * 3:
            switch(connection, tenant)
            expect(f"at {tenant}", connection.execute(SETTINGS).fetchone(), own)
            expect_place("and it is", connection, tenant)


def prepared_after_a_switch():
    with connect() as connection:
        switch(connection, HOME)
        for i, tenant in enumerate(TENANTS * 5):
            switch(connection, tenant)
            for n in range(3):
                expect_place("by a prepared statement", connection, tenant, prepare=True)
                expect("another", value(connection, "SELECT %s::int * 2", [i + n], prepare=True), (i + n) * 2)
        switch(connection, HOME)
        others_at_work()
        expect_place("after others' work", connection, HOME, prepare=True)
        expect("another after it", value(connection, "SELECT %s::int * 2", [21], prepare=True), 42)


def refused_switches():
    with connect(TENANT) as connection:
        for statement in (sql.SQL("SET leasehold.tenant = {}").format(TENANTS[1]),
                          sql.SQL("SELECT set_config('leasehold.tenant', {}, false)").format(TENANTS[1])):
            with expect_error("a tenant that is not the lease's", "42501"):
                connection.execute(statement)
            expect_place("after the refusal", connection, HOME)
        with expect_error("the same, bound", "42501"):
            switch(connection, TENANTS[1])
        expect_place("after it", connection, HOME)
        expect("SHOW", value(connection, "SHOW leasehold.tenant"), HOME)
    with connect() as connection:
        switch(connection, TENANTS[1])
        with expect_error("a tenant that there is not", "3D000"):
            switch(connection, "nobody")
        with expect_error("no tenant's id", "22023"):
            switch(connection, "No Id")
        expect_place("after the refusals", connection, TENANTS[1])
        for bound in (False, True):
            with expect_error("a switch in a transaction", "25001"):
                with connection.transaction():
                    expect_place("in the transaction", connection, TENANTS[1])
                    if bound:
                        switch(connection, TENANTS[2])
                    else:
                        connection.execute(sql.SQL("SET leasehold.tenant = {}").format(TENANTS[2]))
            expect_place("after the transaction", connection, TENANTS[1])
        with connection.transaction():
            with expect_error("a switch in a savepoint", "25001"), connection.transaction():
                switch(connection, TENANTS[2])
            expect_place("after the savepoint", connection, TENANTS[1])


def switching_under_concurrency():
    def work(i):
        moves = random.Random(i)
        with connect() as connection:
            for n in range(200):
                tenant = moves.choice(TENANTS)
                match moves.randrange(3):
                    case 0:
                        connection.execute(sql.SQL("SET leasehold.tenant = {}").format(tenant))
                    case 1:
                        switch(connection, tenant)
                    case 2:
                        connection.execute("RESET leasehold.tenant")
                        tenant = None
                expect_place(f"client {i}, move {n}", connection, tenant, prepare=moves.random() < 0.5)

    everywhere(work, 8)


def more_clients_than_servers():
    all_here = threading.Barrier(60)  # all are connected at the same time

    def work(i):
        try:
            transactions(i)
        except Exception:
            all_here.abort()
            raise

    def transactions(i):
        moves = random.Random(i)
        with connect(TENANT if i % 4 == 0 else CENTRAL) as connection:
            all_here.wait()
            for n in range(10):
                tenant = HOME
                if i % 4 != 0:
                    tenant = moves.choice(TENANTS)
                    switch(connection, tenant)
                with connection.transaction():
                    expect_place(f"client {i}", connection, tenant)
                    connection.execute("INSERT INTO entries (client, number) VALUES (%s, %s)", [f"psycopg {i}", n])
                    expect_place(f"client {i} at its end", connection, tenant)
            all_here.wait()

    everywhere(work, 60)


CASES = [simple_query, bound_parameters, prepared_statements, prepared_then_changed, pipeline, cursor_in_parts,
         copy_in_and_out, cancel, large_values, long_statements, errors_in_transactions, settings, refused_switches,
         settings_after_a_switch, prepared_after_a_switch, switching_under_concurrency, more_clients_than_servers]


def main():
    print(f"psycopg {psycopg.__version__} on libpq {psycopg.pq.version()}", flush=True)
    for case in CASES:
        name = case.__name__.replace("_", " ")
        if sys.argv[1:] and not any(word in name for word in sys.argv[1:]):
            continue
        begun = time.monotonic()
        try:
            case()
        except Exception as error:  # whatever it is, the first failure is the last line
            print(f"FAILED  {name}: {type(error).__name__}: {error}", flush=True)
            os._exit(1)  # threads may still wait for each other
        print(f"ok  {name}  {time.monotonic() - begun:.2f} s", flush=True)


main()
