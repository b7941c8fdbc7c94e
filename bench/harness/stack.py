"""A stack of its own for a measure: real PostgreSQL and NATS, the gateway, one provisioner. Only the outside contract is
used: the command line, stack.env, SQL."""
import concurrent.futures
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

from harness.rounds import Failure, progress

BENCH = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# What every PostgreSQL client started here inherits: neither side negotiates encryption, so none pays for the question.
CLIENT_ENVIRONMENT = {"PGSSLMODE": "disable", "PGGSSENCMODE": "disable", "PGCONNECT_TIMEOUT": "20"}

# In front of what a client program says: its name, the server's address.
WHERE = re.compile(r"^(.*port \d+ failed: |(\w+: )?error: )")

PEER_ROLE, PEER_PASSWORD = "bench", "bench-only"


def in_parallel(do, items):
    """The results of `do` for each of `items`, in their order."""
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        return list(pool.map(do, items))


def derive(config, folder, edit, extra=None):
    """The path of a copy of bench/config/CONFIG in `folder`, edited; with other files beside it by name."""
    with open(os.path.join(BENCH, "config", config), encoding="utf-8") as file:
        text = edit(file.read().replace("../../examples", os.path.join(os.path.dirname(BENCH), "examples")))
    os.chmod(folder, 0o755)
    for name, content in {"config.yaml": text, **(extra or {})}.items():
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(content)
    return os.path.join(folder, "config.yaml")


class Stack:
    def __init__(self, config, max_connections, service="core", folder="/tmp", tls=False):
        """`config`: a file in bench/config; `service`: the one of it that is asked. `max_connections`: PostgreSQL's own.
        `tls`: between all but HTTP."""
        self.work = tempfile.mkdtemp(prefix="leasehold-bench.", dir=folder)
        self._service = service
        os.chmod(self.work, 0o755)
        self.state = os.path.join(self.work, "state")
        self.process = None
        self.env = dict(os.environ, **CLIENT_ENVIRONMENT)
        self._config = os.path.join(BENCH, config)
        self._max_connections = max_connections
        self._arguments = ["--tls"] if tls else []

    def __enter__(self):
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.send_signal(signal.SIGTERM)  # the second time it kills
                self.process.wait()
        shutil.rmtree(self.work, ignore_errors=True)

    def _start(self):
        progress(f"starting a stack, {os.path.basename(self._config)}")
        # `stack up` derives max_connections from the cap. The measures fix it: the last setting on the line counts.
        wrappers = os.path.join(self.work, "wrappers")
        os.mkdir(wrappers)
        wrapper = os.path.join(wrappers, "postgres")
        server = shutil.which("postgres")
        with open(wrapper, "w", encoding="utf-8") as file:
            file.write(f'#!/bin/sh\nexec {server} "$@" -c max_connections={self._max_connections}\n')
        os.chmod(wrapper, 0o755)
        env = dict(self.env, PATH=f"{wrappers}:{self.env['PATH']}")
        for name in list(env):
            if name.startswith("LEASEHOLD_") or name in CLIENT_ENVIRONMENT:
                del env[name]
        log = os.path.join(self.work, "stack.log")
        with open(log, "wb") as file:
            self.process = subprocess.Popen(
                ["leasehold", "stack", "up", "--config", self._config, "--state-dir", self.state, "--ports", "auto",
                 *self._arguments],
                stdout=file, stderr=subprocess.STDOUT, env=env)
        ready = os.path.join(self.state, "stack.env")
        while not os.path.exists(ready):
            if self.process.poll() is not None:
                with open(log, encoding="utf-8", errors="replace") as file:
                    raise SystemExit("the stack did not start:\n" + file.read())
            time.sleep(0.05)
        with open(ready, encoding="utf-8") as file:
            self.env.update(line.rstrip("\n").split("=", 1) for line in file if "=" in line)
        self.superuser = self.env["LEASEHOLD_PG_" + self._service.upper()]
        self.port = int(self.superuser.rsplit(":", 1)[1].split("/")[0])
        self.psql(f"CREATE ROLE {PEER_ROLE} LOGIN PASSWORD '{PEER_PASSWORD}'")
        shown = self.psql("SHOW max_connections")
        if shown != str(self._max_connections):
            raise SystemExit(f"max_connections is {shown} and should be {self._max_connections}")

    def path(self, name):
        return os.path.join(self.work, name)

    def write(self, name, text):
        """A file that may hold secrets."""
        path = self.path(name)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def run(self, *command, timeout=120.0, env=None):
        """Standard output; Failure with the last line of standard error."""
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=timeout,
                                  env=dict(self.env, **(env or {})), check=False)
        except subprocess.TimeoutExpired:
            raise Failure(f"{os.path.basename(command[0])} has not ended after {timeout:g} s") from None
        if done.returncode != 0:
            words = (done.stderr.strip() or f"exit status {done.returncode}").splitlines()
            said = [word for word in words if "error:" in word or "FATAL" in word or "ERROR" in word]
            raise Failure(WHERE.sub("", (said or words)[0])[:200])
        return done.stdout

    def psql(self, sql, database="postgres"):
        return self.run("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", self.dsn_as_superuser(database), "-c", sql).strip()

    def dsn_as_superuser(self, database):
        return self.superuser.rsplit("/", 1)[0] + "/" + database

    def dsn_of_peer(self, port, database):
        return f"postgresql://{PEER_ROLE}:{PEER_PASSWORD}@127.0.0.1:{port}/{database}"

    def gateway_pid(self):
        status = json.loads(self.run("leasehold", "stack", "status", "--json", "--state-dir", self.state))
        for component in status["components"]:
            if component["name"] == "gateway":
                return int(component["pid"])
        raise Failure("the stack has no gateway")

    @staticmethod
    def database_of(tenant):
        return f"tenant_{tenant}_core"

    def create_tenants(self, tenants):
        """Ready, and with the peer's role let into them."""
        in_parallel(lambda tenant: self.run("leasehold", "tenant", "create", tenant, "--wait"), tenants)
        databases = [self.database_of(tenant) for tenant in tenants]
        self.psql(";".join(f'GRANT CONNECT ON DATABASE "{name}" TO {PEER_ROLE}; GRANT "{name}" TO {PEER_ROLE}'
                           for name in databases))

    def init_pgbench(self, tenant, scale):
        """pgbench's tables, owned by the tenant's owner as the tenant's own would be."""
        database = self.database_of(tenant)
        self.run("pgbench", "-q", "-i", "-s", str(scale), self.dsn_as_superuser(database),
                 env={"PGOPTIONS": f"-c role={database}"})

    def lease(self, *what):
        return self.run("leasehold", "lease", "acquire", *what, "--ttl", "3h", "--dsn").strip()

    def verified(self, dsn):
        """Over TLS, bound to it, and only to who has a certificate of the stack's CA."""
        return f"{dsn}?sslmode=verify-full&channel_binding=require&sslrootcert={self.env['LEASEHOLD_CA']}"

    def end_server_connections(self):
        """Both sides keep server connections for later; of max_connections 100 there are not enough for both."""
        end = time.monotonic() + 5
        while time.monotonic() < end:
            left = self.psql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                             "WHERE datname LIKE 'tenant\\_%' AND backend_type = 'client backend'")
            if left == "0":
                return
            time.sleep(0.05)
        raise Failure("connections to tenant databases do not end")
