#!/usr/bin/env python3
"""Causes the fault of every alert on a real stack, and sees it fire in a real Prometheus: fires.py --binaries build/dev/bin

Exits with 77 (ctest's skip) where there is no prometheus. Names of tests (Faults.test_nats_is_away) choose some."""

import contextlib
import functools
import pathlib
import resource
import signal
import threading
import time
import unittest

import psycopg

from names import dashboard_queries, rules
from prometheus import Prometheus
from world import connect, make_a_failing_tenant, publish, started, wait_for, watched_stack

BINARIES = None
# Panels that are empty while nothing is amiss, or nothing is encrypted.
NEED_A_REASON = {"Failures", "Tenants that wait", "Certificates end in"}


def fires(*alerts):
    """A test of a generator that causes a fault, yields, and undoes it: in between all of `alerts` come to fire."""
    def decorate(cause):
        @functools.wraps(cause)
        def test(self):
            for alert in alerts:
                wait_for(f"{alert} to be quiet before", lambda alert=alert: not self.prometheus.firing(alert), 120)
            with contextlib.contextmanager(cause)(self):
                begin = time.monotonic()
                for alert in alerts:
                    wait_for(f"{alert} to fire", lambda alert=alert: self.prometheus.firing(alert), 120)
                    print(f"    {alert} fires after {time.monotonic() - begin:.1f} s", flush=True)
            self.recover()
        test.alerts = alerts
        return test
    return decorate


class Watched(unittest.TestCase):
    arguments = ()

    @classmethod
    def setUpClass(cls):
        cls.stack, cls.folder = cls.enterClassContext(watched_stack(BINARIES, cls.arguments))
        cls.stack.leasehold("tenant", "create", "acme", "--wait")
        cls.prometheus = Prometheus(cls.stack)
        cls.addClassCleanup(cls.prometheus.stop)

    def recover(self):
        wait_for("all daemons to be ready", lambda: len(self.prometheus.query("leasehold_ready == 1")) == 3, 120)

    @contextlib.contextmanager
    def without(self, component):
        """It is killed, and nobody starts it again."""
        self.recover()
        self.stack.supervise(False)
        try:
            self.stack.send(component, signal.SIGKILL)
            yield
        finally:
            self.stack.supervise(True)


class Faults(Watched):
    @fires("LeaseholdNatsDown", "LeaseholdNotReady", "LeaseholdOutboxWaits")
    def test_nats_is_away(self):
        with self.without("nats"):
            self.stack.leasehold("tenant", "create", "waits-for-nats")
            yield

    @fires("LeaseholdInstanceDown", "LeaseholdLoginsFail", "LeaseholdEventsComeAgain")
    def test_an_instance_is_away(self):
        dsn = self.stack.lease("acme", "alpha")[1]
        stop = threading.Event()

        def keep_trying():
            while not stop.wait(0.1):
                with contextlib.suppress(psycopg.Error):
                    psycopg.connect(dsn).close()

        trying = threading.Thread(target=keep_trying)
        with self.without("postgres/alpha"):
            self.stack.leasehold("tenant", "create", "waits-for-alpha")
            trying.start()
            try:
                yield
            finally:
                stop.set()
                trying.join()

    @fires("LeaseholdRegistryDown", "LeaseholdAuditLost")
    def test_the_registry_is_away(self):
        with connect(self.stack, "acme", "alpha") as session, self.without("postgres/registry"):
            # Each is refused, and recorded.
            for _ in range(3000):
                with self.assertRaises(psycopg.errors.InsufficientPrivilege):
                    session.execute("SET leasehold.tenant = 'another'")
            yield

    @fires("LeaseholdServiceUnattended", "LeaseholdEventsWait")
    def test_a_provisioner_stands_still(self):
        self.stack.send("provisioner/alpha", signal.SIGSTOP)
        try:
            self.stack.leasehold("tenant", "create", "waits-for-the-provisioner")
            yield
        finally:
            self.stack.send("provisioner/alpha", signal.SIGCONT)

    @fires("LeaseholdDaemonSilent")
    def test_a_gateway_stands_still(self):
        self.stack.send("gateway", signal.SIGSTOP)
        try:
            yield
        finally:
            self.stack.send("gateway", signal.SIGCONT)

    @fires("LeaseholdDescriptorsShort", "LeaseholdClientsRefused")
    def test_the_gateway_runs_out_of_descriptors(self):
        dsn = self.stack.lease("acme", "alpha")[1]
        gateway = self.stack.pid_of("gateway")
        before = resource.prlimit(gateway, resource.RLIMIT_NOFILE)
        resource.prlimit(gateway, resource.RLIMIT_NOFILE, (200, before[1]))
        stop = threading.Event()

        def keep_coming():
            with contextlib.ExitStack() as sessions:
                while not stop.wait(0.02):
                    with contextlib.suppress(psycopg.Error):
                        sessions.enter_context(psycopg.connect(dsn))

        coming = threading.Thread(target=keep_coming)
        coming.start()
        try:
            yield
        finally:
            stop.set()
            coming.join()
            resource.prlimit(gateway, resource.RLIMIT_NOFILE, before)

    @fires("LeaseholdGatewayAbsent")
    def test_the_gateway_is_gone(self):
        with self.without("gateway"):
            yield

    @fires("LeaseholdRestarts")
    def test_a_provisioner_is_started_again_and_again(self):
        def started():
            return self.prometheus.query('process_start_time_seconds{service="beta"}')

        for _ in range(4):
            before = started()
            self.stack.restart("provisioner/beta", signal.SIGKILL)
            wait_for("beta's provisioner to be seen", lambda before=before: started() not in ([], before), 120)
        yield

    @fires("LeaseholdPoolExhausted")
    def test_more_transactions_than_server_connections(self):
        holders = [connect(self.stack, "acme", "beta") for _ in range(2)]
        for holder in holders:
            holder.execute("BEGIN")
        late = connect(self.stack, "acme", "beta")
        waits = threading.Thread(target=lambda: late.execute("SELECT 1"))
        waits.start()
        try:
            yield
        finally:
            for holder in holders:
                holder.close()
            waits.join()
            late.close()

    @fires("LeaseholdEventsParked")
    def test_an_event_that_nobody_understands(self):
        publish(self.stack, "tenants.broken.created", "this is no event")
        yield

    @fires("LeaseholdTenantsFail", "LeaseholdFindings")
    def test_names_that_are_taken(self):
        make_a_failing_tenant(self.stack, "taken")
        with self.stack.superuser() as superuser:
            superuser.execute('CREATE DATABASE "tenant_stranger_alpha"')
            yield
            for tenant in ("taken", "stranger"):
                superuser.execute(f'DROP DATABASE "tenant_{tenant}_alpha"')

    @fires("LeaseholdDatabaseRecreated")
    def test_a_tenants_database_vanishes(self):
        with self.stack.superuser() as superuser:
            superuser.execute('DROP DATABASE "tenant_acme_alpha" WITH (FORCE)')
        yield

    @fires("LeaseholdMigrationFails", "LeaseholdMigrationsBehind")
    def test_a_migration_that_fails(self):
        file = self.folder / "migrations/tenant/0002_fails.sql"
        file.write_text("SELECT 1 / 0;\n")
        with self.assertRaises(RuntimeError):
            self.stack.leasehold("migrate", "apply", "beta", "--failures", "100")
        yield
        file.unlink()
        # It reads the folder again.
        self.stack.leasehold("migrate", "status", "beta")

    @fires("LeaseholdBackupFails")
    def test_backups_have_nowhere_to_go(self):
        backups = self.folder / "backups"
        backups.rename(self.folder / "elsewhere")
        backups.write_text("a file where a folder should be")
        self.stack.leasehold("backup", "create", "acme")
        yield
        backups.unlink()
        (self.folder / "elsewhere").rename(backups)

    @fires("LeaseholdPolicyUnusable")
    def test_a_file_of_tokens_that_is_none(self):
        tokens = self.folder / "tokens"
        before = tokens.read_text()
        tokens.write_text("this is no token\n")
        yield
        tokens.write_text(before)

    @fires("LeaseholdAuditTampered")
    def test_somebody_shortens_the_audit_trail(self):
        self.stack.lease("acme", "alpha")
        with self.stack.superuser("registry", "leasehold") as superuser:
            superuser.execute("ALTER TABLE leasehold.audit DISABLE TRIGGER ALL")
            wait_for("the acquire's record", lambda: superuser.execute(
                "DELETE FROM leasehold.audit WHERE number = (SELECT max(number) FROM leasehold.audit) RETURNING 1").fetchone())
        self.stack.lease("acme", "alpha")
        yield

    def test_every_panel_of_the_dashboard_has_an_answer(self):
        with connect(self.stack, "acme", "alpha") as session:
            session.execute("SELECT 1")

            def without_answer():
                return {panel for panel, query in dashboard_queries() if not self.prometheus.query(query)} - NEED_A_REASON

            wait_for(f"an answer for {without_answer()}", lambda: not without_answer())


class Certificates(Watched):
    arguments = ("--tls",)

    @fires("LeaseholdCertificateUnusable")
    def test_a_certificate_that_is_none(self):
        certificate = self.certificates() / "gateway.crt"
        before = certificate.read_text()
        certificate.write_text("this is no certificate")
        yield
        certificate.write_text(before)

    @fires("LeaseholdCertificateEnds")
    def test_certificates_that_end_within_two_days(self):
        self.stack.leasehold("dev-certs", "--out", str(self.certificates()), "--valid", "48h", "--force")
        yield

    def certificates(self):
        return pathlib.Path(self.stack.env["LEASEHOLD_CA"]).parent


class Coverage(unittest.TestCase):
    def test_every_alert_has_been_made_to_fire(self):
        seen = [alert for case in (Faults, Certificates) for name in dir(case)
                for alert in getattr(getattr(case, name), "alerts", ())]
        self.assertEqual(sorted(seen), sorted(rule["alert"] for rule in rules()))


if __name__ == "__main__":
    BINARIES, arguments = started(__doc__, "prometheus")
    unittest.main(argv=arguments, verbosity=2)
