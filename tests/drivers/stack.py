"""A whole stack for tests in Python, as `leasehold stack up` makes it, on free ports and in a folder of its own."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
from urllib.parse import urlsplit, urlunsplit

import psycopg

HERE = pathlib.Path(__file__).resolve().parent


def eventually(condition, patience=30.0):
    """Polls what other processes do, which cannot be waited on; the condition's last answer."""
    end = time.monotonic() + patience
    while not (answer := condition()) and time.monotonic() < end:
        time.sleep(0.02)
    return answer


class Stack:
    def __init__(self, binaries, config=HERE / "leasehold.yaml", arguments=()):
        """`arguments`: more for `leasehold stack up`."""
        self._program = str(pathlib.Path(binaries) / "leasehold")
        self._directory = tempfile.mkdtemp(prefix="leasehold-drivers-")
        os.chmod(self._directory, 0o755)  # PostgreSQL runs as another user
        self._environment = {k: v for k, v in os.environ.items() if not k.startswith(("LEASEHOLD_", "DB_", "PG"))}
        self.log = pathlib.Path(self._directory, "stack.log")
        with open(self.log, "wb") as log:
            self._process = subprocess.Popen(
                [self._program, "stack", "up", "--config", str(config), "--ports", "auto",
                 "--state-dir", self._directory, *arguments],
                env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        env = pathlib.Path(self._directory, "stack.env")
        eventually(lambda: env.exists() or self._process.poll() is not None, 90)
        if not env.exists():
            raise RuntimeError(f"the stack did not start:\n{self.log.read_text()}")
        self.env = dict(line.split("=", 1) for line in env.read_text().splitlines() if line)
        for name in ("LEASEHOLD_GATEWAY", "LEASEHOLD_CA", "LEASEHOLD_CERT", "LEASEHOLD_KEY"):
            if name in self.env:
                self._environment[name] = self.env[name]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Raises if a daemon did not end well."""
        self._process.send_signal(signal.SIGTERM)
        try:
            status = self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        text = self.log.read_text()
        shutil.rmtree(self._directory, ignore_errors=True)
        if status != 0:
            raise RuntimeError(f"the stack ended with {status}:\n{text}")

    def leasehold(self, *arguments):
        """Standard output of the command line; raises with what it said if it failed."""
        done = subprocess.run([self._program, *arguments], env=self._environment, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=120, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"leasehold {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout.strip()

    def lease(self, *arguments):
        """(id, DSN)"""
        answer = json.loads(self.leasehold("lease", "acquire", *arguments, "--json"))
        return answer["lease"]["id"], answer["credentials"]["dsn"]

    def superuser(self, service="alpha", database="postgres"):
        url = urlsplit(self.env[f"LEASEHOLD_PG_{service.upper()}"])
        return psycopg.connect(urlunsplit(url._replace(path=f"/{database}")), autocommit=True,
                               application_name="drivers superuser")

    def create_tenants(self, *tenants, service="alpha"):
        """Makes them, and marks each one's database and the central one in their table `place`."""
        for tenant in tenants:
            self.leasehold("tenant", "create", tenant, "--wait")
        for name, database in [("central", f"{service}_central")] + [(t, f"tenant_{t}_{service}") for t in tenants]:
            with self.superuser(service, database) as connection:
                connection.execute("INSERT INTO place SELECT %s WHERE NOT EXISTS (SELECT FROM place)", [name])

    @property
    def directory(self):
        return pathlib.Path(self._directory)

    def supervise(self, on):
        """Off: what ends is not started again, until it is on."""
        self._process.send_signal(signal.SIGCONT if on else signal.SIGSTOP)

    def pid_of(self, component):
        """0 while it does not run; named as `leasehold stack status` does: gateway, postgres/alpha, nats …"""
        state = json.loads(pathlib.Path(self._directory, "stack.json").read_text())
        return next(c["pid"] for c in state["components"] if c["name"] == component)

    def send(self, component, how):
        """Once it runs; its pid."""
        pid = eventually(lambda: self.pid_of(component), 60)
        if not pid:
            raise RuntimeError(f"{component} does not run")
        os.kill(pid, how)
        return pid

    def restart(self, component, how=signal.SIGTERM):
        """Ends it; the supervisor starts it again. Returns when the new one runs."""
        old = self.send(component, how)
        if not eventually(lambda: self.pid_of(component) not in (0, old), 60):
            raise RuntimeError(f"{component} was not started again")


class CapSampler:
    """Counts the gateway's server connections to an instance again and again: those of roles that only it uses."""

    COUNT = """SELECT count(*), string_agg(format('%s %s %s', pid, usename, state), ', ') FROM pg_stat_activity
               WHERE backend_type = 'client backend' AND usename NOT IN ('postgres', 'leasehold')"""

    def __init__(self, stack, cap, service="alpha"):
        self._stack, self._service, self._cap = stack, service, cap
        self._connection = None
        self.most, self.samples, self.excess = 0, 0, []

    def sample(self):
        try:
            if self._connection is None:
                self._connection = self._stack.superuser(self._service)
            count, who = self._connection.execute(self.COUNT).fetchone()
        except psycopg.OperationalError:  # the instance is being restarted
            if self._connection is not None:
                self._connection.close()
            self._connection = None
            return
        self.samples += 1
        self.most = max(self.most, count)
        if count > self._cap:
            self.excess.append(f"{count} server connections, cap {self._cap}: {who}")

    def close(self):
        if self._connection is not None:
            self._connection.close()
