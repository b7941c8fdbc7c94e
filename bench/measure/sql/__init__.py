"""The SQL gateway against PgBouncer; each row's conditions stand in bench/README.md."""
from harness.bouncer import PgBouncer
from harness.stack import Stack
from measure.sql import fairness, idle, leases, pgbench, tenants
from measure.sql.side_by_side import OneTenant

ROWS = ("pgbench", "connect", "tenants", "fairness", "idle", "leases")

ONE_TENANT_CAP, MANY_TENANTS_CAP = 50, 90


def run(report, settings, rows):
    if {"pgbench", "connect", "fairness", "leases"} & set(rows):
        # Room for both sides' pools and the direct connections at once: nobody's connections have to go for another's.
        with Stack("config/one-tenant.yaml", 300) as stack, PgBouncer(stack, ONE_TENANT_CAP) as bouncer:
            side = OneTenant(stack, bouncer, settings)
            if "pgbench" in rows:
                pgbench.queries(report, settings, side)
            if "connect" in rows:
                pgbench.connections(report, settings, side)
            if "fairness" in rows:
                fairness.measure(report, settings, side)
            if "leases" in rows:
                leases.measure(report, settings, side)
    if "tenants" in rows:
        with Stack("config/many-tenants.yaml", 100) as stack, PgBouncer(stack, MANY_TENANTS_CAP) as bouncer:
            tenants.measure(report, settings, stack, bouncer)
    if "idle" in rows:
        # Of their own: memory that earlier clients have left behind would hide what these cost.
        with Stack("config/one-tenant.yaml", 300) as stack, PgBouncer(stack, ONE_TENANT_CAP) as bouncer:
            idle.measure(report, settings, stack, bouncer)
