"""A schema change over many tenant databases; each row's conditions stand in bench/README.md."""
import json
import os
import shutil
import subprocess
import tempfile
import time

from harness import figures
from harness.report import Bound, Row
from harness.rounds import Failure, alternate, progress
from harness.stack import Stack, in_parallel

ROWS = ("apply", "status")

# As many databases at once as a provisioner works on (provisioner.parallelism), on all sides but the shell's.
SESSIONS = 4
STATUS_MUST_MS = 50
# Whoever does it by hand does it with one login. Its secret is as cheap to check as those of tenants' owners, so that no
# side pays for stretching.
PEER = "bench_migrations"
RECORD = "INSERT INTO bench_history VALUES ('{name}', now())"


def run(report, settings, rows):
    folder = tempfile.mkdtemp(prefix="leasehold-bench.", dir="/var/tmp")
    os.chmod(folder, 0o755)
    try:
        fleet = Fleet(folder, settings)
        with Stack(fleet.config, 200, folder="/var/tmp") as stack:
            fleet.make(stack)
            if "apply" in rows:
                apply(report, settings, fleet)
            if "status" in rows:
                status(report, settings, fleet)
    except Failure as failure:
        report.failed("migrations", failure)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Fleet:
    """One service whose tenants' names begin with "m" if they are migrated, "s" if they are only counted."""

    def __init__(self, folder, settings):
        self.files = os.path.join(folder, "files")
        os.makedirs(os.path.join(self.files, "tenant"))
        self.write("0001_settings", "CREATE TABLE settings (key text PRIMARY KEY, value text NOT NULL);")
        self.config = os.path.join(folder, "leasehold.yaml")
        with open(self.config, "w", encoding="utf-8") as file:
            file.write("provisioner: {resync_interval: 10s, max_spares: 0, migrate: by-run}\n"
                       f"services:\n  - name: core-service\n    migrations: {self.files}\n    instance: {{sslmode: disable}}\n"
                       "log: {level: warning}\n")
        self.migrated = [f"m{number:04}" for number in range(settings.migrated)]
        self.counted = [f"s{number:04}" for number in range(max(0, settings.counted - settings.migrated))]
        self.stack = None
        self.newest = 1

    def write(self, stem, sql):
        path = os.path.join(self.files, "tenant", stem + ".sql")
        with open(path + ".next", "w", encoding="utf-8") as file:
            file.write(sql)
        os.chmod(path + ".next", 0o644)
        os.rename(path + ".next", os.path.join(self.files, "tenant", stem + ".sql"))

    def make(self, stack):
        self.stack = stack
        tenants = self.migrated + self.counted
        progress(f"  making {len(tenants)} tenants")
        in_parallel(lambda tenant: stack.run("leasehold", "tenant", "create", tenant), tenants)
        end = time.monotonic() + 600
        while self.ready() < len(tenants):
            if time.monotonic() > end:
                raise Failure("the tenants do not become ready")
            time.sleep(0.5)
        stack.psql(f"SET scram_iterations = 1; CREATE ROLE {PEER} LOGIN SUPERUSER PASSWORD 'bench-only'")
        for tenant in self.migrated:
            stack.psql("CREATE TABLE bench_history (name text PRIMARY KEY, applied timestamptz)", stack.database_of(tenant))

    def ready(self):
        return int(self.stack.psql("SELECT count(*) FROM leasehold.tenants WHERE state = 'ready'", "core_central"))

    def dsns(self):
        return [f"postgresql://{PEER}:bench-only@127.0.0.1:{self.stack.port}/{self.stack.database_of(tenant)}"
                for tenant in self.migrated]

    def settled(self):
        """What a run tells the registry of its tenants, it tells when it is over: not in another side's turn."""
        end = time.monotonic() + 60
        while self.stack.psql("SELECT count(*) FROM leasehold.tenants WHERE status_version > reported_version",
                              "core_central") != "0":
            if time.monotonic() > end:
                raise Failure("what became of the tenants is not reported")
            time.sleep(0.2)

    def statement(self, side):
        """A small change that nobody has made yet."""
        self.newest += 1
        name = f"{side}_{self.newest}"
        return name, f"ALTER TABLE settings ADD COLUMN {name} text"

    def columns(self, name):
        """In how many databases the change is there: no side may be fast by leaving some out."""
        have = in_parallel(lambda tenant: self.stack.psql(
            f"SELECT count(*) FROM pg_attribute WHERE attrelid = 'settings'::regclass AND attname = '{name}'",
            self.stack.database_of(tenant)), (self.migrated[0], self.migrated[len(self.migrated) // 2], self.migrated[-1]))
        return have.count("1")


def timed(fleet, name, work):
    fleet.settled()
    start = time.monotonic()
    work()
    elapsed = time.monotonic() - start
    if fleet.columns(name) != 3:
        raise Failure("the change is not everywhere")
    return elapsed


def apply(report, settings, fleet):
    stack = fleet.stack
    script = stack.write("loop.sh", 'while read -r dsn; do psql -XAtq -v ON_ERROR_STOP=1 -d "$dsn" -c "$1" || exit 1; done\n')
    own = []

    def shell():
        name, sql = fleet.statement("shell")
        text = f"BEGIN; {sql}; {RECORD.format(name=name)}; COMMIT"
        return timed(fleet, name, lambda: feed(stack, ["sh", script, text], fleet.dsns()))

    def floor():
        name, sql = fleet.statement("floor")
        text = f"{sql}; {RECORD.format(name=name)}"
        return timed(fleet, name, lambda: feed(stack, [floor_program(), str(SESSIONS), text], fleet.dsns()))

    def ours():
        name, sql = fleet.statement("ours")
        fleet.write(f"{fleet.newest:04}_{name}", sql + ";")

        def work():
            said = stack.run("leasehold", "migrate", "apply", "core", "--tenant", "m*", "--json", timeout=600)
            run_now = json.loads(said.strip().splitlines()[-1])["run"]
            if int(run_now.get("done", 0)) != len(fleet.migrated):
                raise Failure(f"{run_now.get('done', 0)} of {len(fleet.migrated)} databases are done")
            own.append(run_now)
        return timed(fleet, name, work)

    sides = alternate(settings.rounds, {"shell": shell, "floor": floor, "ours": ours})
    for side in sides.values():
        if isinstance(side, Failure):
            raise side
    by_shell, least, mine = (figures.median(sides[name]) for name in ("shell", "floor", "ours"))
    what = f"one small migration over {len(fleet.migrated)} databases, s"
    report.add(Row(f"{what}; a shell loop of psql (ratio: its time / ours)", direct=f"{by_shell:.2f}", ours=f"{mine:.2f}",
                   ratio=by_shell / mine, must=Bound(least=3)))
    report.add(Row(f"{what}; bare libpq, {SESSIONS} at once (ratio: our time / its)", direct=f"{least:.2f}", ours=f"{mine:.2f}",
                   ratio=mine / least, must=Bound(most=1.5), aim=Bound(most=1.15)))


def status(report, settings, fleet):
    stack = fleet.stack
    databases = len(fleet.migrated) + len(fleet.counted) + 1

    def once():
        start = time.monotonic()
        said = json.loads(stack.run("leasehold", "migrate", "status", "core", "--json"))
        if int(said["total"]) != databases:
            raise Failure(f"status tells of {said['total']} databases")
        return (time.monotonic() - start) * 1000

    once()
    middle = figures.median([once() for _ in range(max(5, settings.rounds))])
    report.add(Row(f"status of {databases} databases by the command line, ms", ours=f"{middle:.0f}",
                   must=Bound(text=f"< {STATUS_MUST_MS}", holds=middle < STATUS_MUST_MS)))


def floor_program():
    """Beside bin/, where nobody installs it."""
    return os.path.join(os.path.dirname(os.path.dirname(shutil.which("leasehold"))), "bench", "bin",
                        "leasehold-bench-migrations")


def feed(stack, command, lines):
    done = subprocess.run(command, input="\n".join(lines) + "\n", capture_output=True, text=True, env=stack.env, timeout=600,
                          check=False)
    if done.returncode != 0:
        raise Failure((done.stderr.strip() or "failed").splitlines()[0][:200])
