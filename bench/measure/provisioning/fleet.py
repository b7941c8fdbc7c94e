"""What a tenant costs as there are more of them: time to be ready, an idle pass, memory."""
import os
import time

from harness import figures
from harness.report import Bound, Row
from harness.rounds import progress
from measure.provisioning.field import SERVICES

PASSES = 10


def measure(report, settings, field):
    medians, memory = {}, {}
    for size in settings.fleet:
        grow(field, size)
        samples = [field.announced()[0] for _ in range(settings.fleet_rounds)]
        medians[size] = figures.median(samples)
        time.sleep(1)
        memory[size] = field.memory()
        progress(f"  {size} tenants: {medians[size]:.2f} ms; KiB {memory[size]}")
    least, most = min(settings.fleet), max(settings.fleet)
    spread = max(medians.values()) / min(medians.values())
    report.add(Row("event → ready, p50, at " + ", ".join(f"{size}" for size in medians) + " tenants: largest ÷ smallest",
                   ", ".join(figures.milliseconds(value) for value in medians.values()), ratio=spread, must=Bound(most=1.25)))
    own, registry = idle_pass(field)
    total = own + registry
    report.add(Row(f"a pass with nothing to do, {most} tenants: PostgreSQL's time",
                   f"{own:.1f} ms on the instance + {registry:.1f} ms on the registry's", ratio=total / 50,
                   must=Bound(most=1.0)))
    for i, who in enumerate(("gateway", "a provisioner")):
        growth = (memory[most][i] - memory[least][i]) / (most - least)
        report.add(Row(f"memory of {who} per further tenant ({least} → {most})", f"{growth:.2f} KiB", ratio=growth / 4,
                       must=Bound(most=1.0), aim=Bound(most=0.25)))
    report.note("A pass: PostgreSQL's active time in the central database and in the registry's (pg_stat_database), all that a "
                "provisioner does there while idle, per pass; its ratio is to 50 ms, the memory's to 4 KiB.")


def grow(field, size):
    have = int(field.instances[SERVICES[0]].run("SELECT count(*) FROM pg_database WHERE starts_with(datname, 'tenant_')"))
    progress(f"  growing to {size} tenants")
    names = [field.name() for _ in range(size - have)]
    for i in range(0, len(names), 50):
        for name in names[i:i + 50]:
            field.announce(name)
        for name in names[i:i + 50]:
            field.active.when(name)
    field.await_spares()
    os.sync()  # or the commits of the samples would wait for what hundreds of new databases have left to be written
    field.nats.forget()


def idle_pass(field):
    """Milliseconds a pass, of one service: in the central database, and in the registry's."""
    time.sleep(2)
    service = SERVICES[0]
    registry = field.registry()

    def passes(of):
        return sum(field.metric(s, "leasehold_provisioner_passes_total") for s in of)

    # Sessions of this program are in databases of their own, and counted in neither.
    def active(session, database):
        return float(session.run("SELECT pg_stat_clear_snapshot(); "
                                 f"SELECT active_time FROM pg_stat_database WHERE datname = '{database}'"))

    def look():
        return active(field.instances[service], f"{service}_central"), active(registry, "leasehold")

    before, own_before, all_before = look(), passes([service]), passes(SERVICES)
    while (own := passes([service])) - own_before < PASSES:
        time.sleep(0.2)
    every = passes(SERVICES)
    time.sleep(1.2)  # PostgreSQL's counters come at most once a second
    after = look()
    return (after[0] - before[0]) / (own - own_before), (after[1] - before[1]) / (every - all_before)
