"""Many tenants at once, against as many raw CREATE DATABASE, run in parallel on the same instances."""
import threading
import time

from harness import figures
from harness.report import Bound, Row
from harness.rounds import Failure, alternate
from measure.provisioning.field import PATIENCE, SERVICES, TEMPLATE

# As many as a provisioner works on at once (provisioner.parallelism).
SESSIONS = 4


def from_stock(report, settings, field):
    add(report, settings, field, "a spare for each", Bound(least=0.8), Bound(least=1.0))
    report.note(f"A burst: {SESSIONS} sessions an instance run the raw loop. A tenant that fails, or is not ready and ACTIVE after "
                f"{PATIENCE} s, would fail the row.")


def without_spares(report, settings, field):
    add(report, settings, field, "no spares: roles, grants and migrations in the time, too", None, None)


def add(report, settings, field, how, must, aim):
    sides = sides_of(settings, field)
    for side in sides.values():
        if isinstance(side, Failure):
            raise side
    direct, rate = figures.median(sides["raw"]), figures.median(sides["ours"])
    report.add(Row(f"a burst of {settings.burst} tenants ({settings.burst * len(SERVICES)} databases), databases/s; {how}",
                   figures.count(rate), direct=figures.count(direct), ratio=rate / direct, must=must, aim=aim))


def sides_of(settings, field):
    """Databases a second, of each round."""
    tenants = settings.burst
    databases = tenants * len(SERVICES)
    sessions = {service: [field.session(service) for _ in range(SESSIONS)] for service in SERVICES}
    rounds = iter(range(1000))

    def raw():
        this = next(rounds)
        failures = []

        def make(session, numbers):
            try:
                for number in numbers:
                    session.run(f'CREATE DATABASE "burst_{this}_{number}" TEMPLATE "{TEMPLATE}"')
            except Failure as failure:
                failures.append(failure)

        threads = [threading.Thread(target=make, args=(session, range(i, tenants, SESSIONS)))
                   for service in SERVICES for i, session in enumerate(sessions[service])]
        start = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        elapsed = time.monotonic() - start
        for service in SERVICES:  # room, and a catalogue of the same size for the next round
            for number in range(tenants):
                field.instances[service].run(f'DROP DATABASE IF EXISTS "burst_{this}_{number}"')
        if failures:
            raise failures[0]
        return databases / elapsed

    def ours():
        field.await_spares()
        field.nats.forget()
        names = [field.name() for _ in range(tenants)]
        start = time.monotonic()
        for name in names:
            field.announce(name)
        ready = field.all_ready(names)
        elapsed = max(ready.values()) - start
        for name in names:
            field.active.when(name)
        return databases / elapsed

    return alternate(settings.burst_rounds, {"raw": raw, "ours": ours})
