"""A stack of three services, and what the rows do to it: announce tenants, hear that they are ready, make raw databases."""
import itertools
import json
import os
import re
import subprocess
import threading
import time
import urllib.request
import uuid

from harness import figures
from harness.nats import Nats
from harness.rounds import Failure
from harness.stack import Stack

SERVICES = ("identity", "employee", "core")
PATIENCE = 60
STOCK_PATIENCE = 600  # hundreds of spares are made one after another, and none of it is measured
CONNECTIONS = 200
TEMPLATE = "raw_template"

EVENT = ('{{"specversion":"1.0","id":"{event}","source":"bench","type":"leasehold.tenant.created.v1","subject":"{id}",'
         '"time":"2026-01-01T00:00:00Z","datacontenttype":"application/json",'
         '"data":{{"id":"{id}","name":"Bench","domain":"{id}.test","isActive":true,"settings":{{}}}}}}')


class Psql:
    """A psql that stays connected, so that a statement costs what it costs and no connection."""

    def __init__(self, stack, dsn):
        self._process = subprocess.Popen(["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", dsn], stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=stack.env)

    def run(self, sql):
        """The last line that it prints."""
        try:
            self._process.stdin.write(sql + ";\n\\echo done\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise Failure(self._process.stderr.read().strip()[:200]) from None
        last = ""
        while (line := self._process.stdout.readline()) != "done\n":
            if not line:
                raise Failure(self._process.stderr.read().strip()[:200] or "psql has ended")
            last = line.rstrip("\n")
        return last

    def close(self):
        self._process.kill()
        self._process.communicate()


class Active:
    """When tenants became ACTIVE, as a watch of the gateway tells it."""

    def __init__(self, stack):
        self._stack = stack
        self._times = {}
        self._changed = threading.Condition()
        self._process = subprocess.Popen(["leasehold", "tenant", "watch", "--json"], stdout=subprocess.PIPE, text=True,
                                         env=stack.env)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        for line in self._process.stdout:
            now = time.monotonic()
            tenant = json.loads(line).get("tenant", {})
            if tenant.get("state") == "TENANT_STATE_ACTIVE":
                with self._changed:
                    self._times.setdefault(tenant["id"], now)
                    self._changed.notify_all()

    def when(self, tenant):
        with self._changed:
            if not self._changed.wait_for(lambda: tenant in self._times, PATIENCE):
                now = json.loads(self._stack.run("leasehold", "tenant", "get", tenant, "--json"))
                raise Failure(f"{tenant} is not active after {PATIENCE} s: {now.get('message') or now['state']}")
            return self._times[tenant]

    def close(self):
        self._process.kill()
        self._process.communicate()


class Field:
    def __init__(self, config, folder="/tmp", spares=True):
        self.stack = Stack(config, CONNECTIONS, service=SERVICES[0], folder=folder)
        self._spares = spares
        self._closing = []
        self._numbers = itertools.count()
        self._prefix = uuid.uuid4().hex[:6]

    def __enter__(self):
        self.stack.__enter__()
        try:
            self.nats = Nats(self.stack.env["LEASEHOLD_NATS"], "provisioning.*.*.*")
            self._closing.append(lambda: self.nats.__exit__())
            self.active = Active(self.stack)
            self._closing.append(self.active.close)
            self.instances = {service: self.session(service) for service in SERVICES}
            self.await_spares(1)
            self._make_templates()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for close in reversed(self._closing):
            close()
        self.stack.__exit__()

    def dsn(self, service, database="postgres"):
        return self.stack.env["LEASEHOLD_PG_" + service.upper()].rsplit("/", 1)[0] + "/" + database

    def session(self, service, database="postgres"):
        session = Psql(self.stack, self.dsn(service, database))
        self._closing.append(session.close)
        return session

    def name(self):
        return f"b{self._prefix}-{next(self._numbers)}"

    def announce(self, tenant):
        self.nats.publish(f"tenants.{tenant}.created",
                          EVENT.format(event=uuid.uuid4(), id=tenant).encode())

    def all_ready(self, tenants):
        """Tenant → when the last of its services said that it is ready; Failure for one that says it failed."""
        missing = {(service, tenant) for tenant in tenants for service in SERVICES}
        ready = {}
        while missing:
            subject, payload, when = self.nats.next(PATIENCE)
            _, service, tenant, what = subject.split(".")
            if what == "failed" and (service, tenant) in missing:
                raise Failure(f"{service}: {json.loads(payload).get('data', {}).get('status', payload)}"[:200])
            if what == "ready" and (service, tenant) in missing:
                missing.remove((service, tenant))
                ready[tenant] = when
        return ready

    def component(self, name, what):
        status = json.loads(self.stack.run("leasehold", "stack", "status", "--json", "--state-dir", self.stack.state))
        return next(component[what] for component in status["components"] if component["name"] == name)

    def metric(self, service, name):
        if not hasattr(self, "_addresses"):
            self._addresses = {s: self.component(f"provisioner/{s}", "address") for s in SERVICES}
        with urllib.request.urlopen(f"http://{self._addresses[service]}/metrics", timeout=5) as answer:
            found = re.search(rf"^{re.escape(name)} (\S+)$", answer.read().decode(), re.MULTILINE)
        return float(found.group(1)) if found else 0.0

    def await_spares(self, least=None):
        """Until each service has as many as it wants, or at least so many."""
        if not self._spares:
            return
        end = time.monotonic() + STOCK_PATIENCE
        for service in SERVICES:
            while (self.metric(service, 'leasehold_spares{state="ready"}')
                   < max(1, least or self.metric(service, "leasehold_spares_wanted"))):
                if time.monotonic() > end:
                    raise Failure(f"{service} has not the spares that it wants after {STOCK_PATIENCE} s")
                time.sleep(0.02)

    def _make_templates(self):
        """A raw database with a tenant's schema, to copy: what a team without Leasehold would have."""
        tenant = self.name()
        self.announce(tenant)
        self.all_ready([tenant])
        self.active.when(tenant)
        for service in SERVICES:
            database = f"tenant_{tenant}_{service}"
            self.instances[service].run(f'CREATE DATABASE "{TEMPLATE}" TEMPLATE "{database}"')

    def raw(self, service):
        """Milliseconds of one raw CREATE DATABASE of the same template."""
        start = time.monotonic()
        self.instances[service].run(f'CREATE DATABASE "raw_{next(self._numbers)}" TEMPLATE "{TEMPLATE}"')
        return (time.monotonic() - start) * 1000

    def announced(self):
        """Milliseconds from a tenant's event until all its services are ready, and until the gateway calls it active."""
        self.await_spares()
        self.nats.forget()
        tenant = self.name()
        start = time.monotonic()
        self.announce(tenant)
        ready = self.all_ready([tenant])[tenant]
        return (ready - start) * 1000, (self.active.when(tenant) - start) * 1000

    def memory(self):
        """KiB: of the gateway, and of the largest provisioner."""
        return (figures.resident_kib(self.component("gateway", "pid")),
                max(figures.resident_kib(self.component(f"provisioner/{service}", "pid")) for service in SERVICES))

    def registry(self):
        """A superuser's session on the registry's server: nobody outside needs one, so stack.env names none."""
        with open(os.path.join(self.stack.state, "secrets", "superuser-registry"), encoding="utf-8") as file:
            password = file.read().strip()
        session = Psql(self.stack, f"postgresql://postgres:{password}@{self.component('postgres/registry', 'address')}/postgres")
        self._closing.append(session.close)
        return session
