#!/usr/bin/env python3
"""Each alert rule on series of its own, by promtool: quiet before its time, firing with what it says, and quiet again.

Exits with 77 (ctest's skip) where there is no promtool. That real faults make such series is fires.py's to show."""

import copy
import dataclasses
import re
import subprocess
import tempfile
import unittest

import yaml

from names import groups, rules
from world import started

GATEWAY = 'job="gateway",instance="g1"'
PROVISIONER = 'job="provisioner",instance="p1"'
# Two installations that one Prometheus scrapes: neither hides the other, and of two gateways that say the same one is heard.
HERE, THERE = 'namespace="here"', 'namespace="there"'
OTHER_GATEWAY = 'job="gateway",instance="g2"'


@dataclasses.dataclass
class Case:
    """A sample a minute, in promtool's notation: `0x3 1x9` is 0 for the minutes 0 to 3, then 1 for the minutes 4 to 13."""
    alert: str
    series: dict
    quiet: list
    fires: list
    resolved: int
    labels: str
    says: str


def counted(alert, series, labels, says, others=()):
    """A counter that is counted up once, in minute 4, and looked at for an hour."""
    return Case(alert, {series: "0x3 1x100", **{other: "0+1x100" for other in others}}, [3], [5, 60], 66, labels, says)


CASES = [
    Case("LeaseholdNotReady", {f"leasehold_ready{{{GATEWAY}}}": "1x3 0x9 1x5", f"leasehold_ready{{{PROVISIONER}}}": "1x19"},
         [3, 5], [6, 13], 14, GATEWAY, "gateway at g1 has not been ready for two minutes."),
    Case("LeaseholdGatewayAbsent", {f"leasehold_leases{{{GATEWAY}}}": "5x3 stale _x9 5x9"},
         [3, 5], [6, 13], 16, "", "No gateway is scraped."),
    # One that is away, one that was never ours.
    Case("LeaseholdDaemonSilent",
         {f"up{{{GATEWAY}}}": "1x3 0x9 1x5", f'leasehold_build_info{{{GATEWAY},version="0.1.0"}}': "1x3 stale _x8 1x5",
          'up{job="node",instance="n1"}': "1x3 0x14"},
         [3, 5], [6, 12], 14, GATEWAY, "gateway at g1 has not answered for two minutes."),
    Case("LeaseholdRestarts",
         {f"process_start_time_seconds{{{PROVISIONER}}}": "100x5 200x5 300x5 400x5 500x90",
          f'leasehold_build_info{{{PROVISIONER},version="0.1.0"}}': "1x120",
          'process_start_time_seconds{job="node",instance="n1"}': "100x5 200x5 300x5 400x5 500x90"},
         [23], [24, 60], 70, PROVISIONER, "provisioner at p1 was started more than three times within an hour."),
    Case("LeaseholdDescriptorsShort",
         {f"process_open_fds{{{GATEWAY}}}": "700x3 755x9 700x5", f"process_max_fds{{{GATEWAY}}}": "1000x18",
          f'leasehold_build_info{{{GATEWAY},version="0.1.0"}}': "1x18",
          'process_open_fds{job="node",instance="n1"}': "900x18", 'process_max_fds{job="node",instance="n1"}': "1000x18"},
         [3, 8], [9, 13], 14, GATEWAY, "gateway at g1 has 75.5% of its file descriptors open."),
    Case("LeaseholdRegistryDown",
         {f'leasehold_component_up{{{GATEWAY},component="registry"}}': "1x3 0x9 1x5",
          f'leasehold_component_up{{{GATEWAY},component="leases"}}': "0x19"},
         [3, 4], [5, 13], 14, f'{GATEWAY},component="registry"',
         "A gateway cannot use the registry's database: tenants cannot be changed."),
    Case("LeaseholdNatsDown",
         {f'leasehold_component_up{{{PROVISIONER},component="nats"}}': "1x3 0x9 1x5",
          f'leasehold_component_up{{{GATEWAY},component="nats"}}': "1x19"},
         [3, 4], [5, 13], 14, f'{PROVISIONER},component="nats"', "provisioner at p1 is not connected to NATS."),
    Case("LeaseholdInstanceDown",
         {f'leasehold_sql_instance_up{{{GATEWAY},service="core"}}': "1x3 0x9 1x5",
          f'leasehold_sql_instance_up{{{GATEWAY},service="identity"}}': "1x19"},
         [3, 4], [5, 13], 14, f'{GATEWAY},service="core"', "The instance of core does not answer."),
    # The last pass is that of minute 5; more than five minutes ago from minute 11 on.
    Case("LeaseholdServiceUnattended",
         {f'leasehold_service_last_pass_timestamp_seconds{{{GATEWAY},{HERE},service="core"}}': "0+60x5 300x12 1140+60x10",
          f'leasehold_service_last_pass_timestamp_seconds{{{OTHER_GATEWAY},{HERE},service="core"}}': "0+60x5 300x12 1140+60x10",
          f'leasehold_service_last_pass_timestamp_seconds{{{GATEWAY},{THERE},service="core"}}': "0+60x30",
          f'leasehold_service_last_pass_timestamp_seconds{{{GATEWAY},{HERE},service="identity"}}': "0+60x30"},
         [5, 15], [16, 18], 19, f'{HERE},service="core"',
         "No provisioner of core has compared its tenants for five minutes."),
    # A pause of one sample begins the five minutes anew.
    Case("LeaseholdPoolExhausted",
         {f'leasehold_sql_server_connection_waiting{{{GATEWAY},service="core"}}': "0 2x2 0 2x10 0x5",
          f'leasehold_sql_server_connection_waiting{{{GATEWAY},service="identity"}}': "0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1"},
         [3, 8, 10], [12, 15], 16, f'{GATEWAY},service="core"',
         "Clients of core have waited for a server connection for five minutes without a pause."),
    Case("LeaseholdClientsRefused",
         {f'leasehold_sql_logins_total{{{GATEWAY},outcome="exhausted"}}': "0x3 0+1x10 10x20",
          f'leasehold_sql_logins_total{{{GATEWAY},outcome="ok"}}': "0+5x35"},
         [4, 9], [11, 14], 21, f'{GATEWAY},outcome="exhausted"',
         "Clients are refused at g1: there are as many as there may be."),
    Case("LeaseholdLoginsFail",
         {f'leasehold_sql_logins_total{{{GATEWAY},outcome="unavailable"}}': "0x3 0+1x10 10x20",
          f'leasehold_sql_logins_total{{{GATEWAY},outcome="bad_credentials"}}': "0+5x35"},
         [4, 9], [11, 14], 21, f'{GATEWAY},outcome="unavailable"',
         "Log-ins fail because something that they need is not available."),
    Case("LeaseholdOutboxWaits", {f"leasehold_outbox_age_seconds{{{GATEWAY}}}": "0x3 60+60x6 0x5"},
         [5, 6], [7, 10], 11, GATEWAY, "Changes of tenants have waited for JetStream for two minutes."),
    Case("LeaseholdEventsWait",
         {f'leasehold_events_pending{{{GATEWAY},stream="TENANTS",consumer="provisioner-core"}}': "0x3 3x30 0x5",
          f'leasehold_events_pending{{{OTHER_GATEWAY},stream="TENANTS",consumer="provisioner-core"}}': "0x3 3x30 0x5",
          f'leasehold_events_pending{{{GATEWAY},stream="TENANTS",consumer="registry"}}': "0 3 0 3 0 3 0 3 0 3 0 3 0 3 0 3 0 3 0 3 0 3 0"},
         [3, 17], [20, 34], 35, 'stream="TENANTS",consumer="provisioner-core"',
         "Events on TENANTS wait for provisioner-core without a pause."),
    Case("LeaseholdEventsComeAgain",
         {f'leasehold_events_redelivered_total{{{PROVISIONER},stream="TENANTS"}}': "0x3 0+3x10 30x40",
          f'leasehold_events_redelivered_total{{{GATEWAY},stream="PROVISIONING"}}': "0+1x55"},
         [7], [14], 40, f'{PROVISIONER},stream="TENANTS"',
         "Events on TENANTS are taken and come again: provisioner cannot record them."),
    counted("LeaseholdEventsParked", f"leasehold_events_parked_total{{{GATEWAY}}}", GATEWAY,
            "Events that could not be understood lie on provisioning.dead.…"),
    Case("LeaseholdTenantsFail",
         {f'leasehold_service_tenants{{{GATEWAY},service="core",state="failed"}}': "0x3 2x20 0x5",
          f'leasehold_service_tenants{{{OTHER_GATEWAY},service="core",state="failed"}}': "0x3 2x20 0x5",
          f'leasehold_service_tenants{{{GATEWAY},service="core",state="ready"}}': "90x29"},
         [4, 13], [14, 24], 25, 'service="core"',
         "2 tenants of core cannot be given what they should have."),
    counted("LeaseholdDatabaseRecreated", f'leasehold_provisioner_recreated_total{{{PROVISIONER},service="core"}}',
            f'{PROVISIONER},service="core"',
            "A tenant database of core had vanished and was made again, empty: restore it."),
    # One of two provisioners has looked since.
    Case("LeaseholdFindings",
         {f'leasehold_provisioner_findings{{{PROVISIONER},{HERE},service="core"}}': "0x3 1x20 0x9",
          f'leasehold_provisioner_findings{{job="provisioner",instance="p2",{HERE},service="core"}}': "0x33"},
         [4, 18], [19, 24], 25, f'{HERE},service="core"', "Something is amiss on the instance of core: leasehold doctor."),
    counted("LeaseholdMigrationFails",
            f'leasehold_migration_databases_total{{{PROVISIONER},service="core",outcome="failed"}}',
            f'{PROVISIONER},service="core",outcome="failed"', "A migration of core has failed in some databases.",
            [f'leasehold_migration_databases_total{{{PROVISIONER},service="core",outcome="done"}}']),
    # A run is at work on identity's.
    Case("LeaseholdMigrationsBehind",
         {f'leasehold_migration_databases_behind{{{PROVISIONER},{HERE},service="core"}}': "0x3 4x100 0x5",
          f'leasehold_migration_databases_behind{{job="provisioner",instance="p2",{HERE},service="core"}}': "0x3 5x100 0x5",
          f'leasehold_migration_run_active{{{PROVISIONER},{HERE},service="core"}}': "0x109",
          f'leasehold_migration_databases_behind{{{PROVISIONER},{THERE},service="core"}}': "0x109",
          f'leasehold_migration_run_active{{{PROVISIONER},{THERE},service="core"}}': "1x109",
          f'leasehold_migration_databases_behind{{{PROVISIONER},service="identity"}}': "4x109",
          f'leasehold_migration_run_active{{{PROVISIONER},service="identity"}}': "0x2 1x107"},
         [4, 63], [64, 104], 105, f'{HERE},service="core"', "4 databases of core lack migrations, and no run brings them."),
    counted("LeaseholdBackupFails", f'leasehold_provisioner_backups_total{{{PROVISIONER},service="core",outcome="failed"}}',
            f'{PROVISIONER},service="core",outcome="failed"', "A backup of core fails.",
            [f'leasehold_provisioner_backups_total{{{PROVISIONER},service="core",outcome="complete"}}']),
    # It ends a week and ten minutes after the beginning, and is renewed in minute 21.
    Case("LeaseholdCertificateEnds",
         {f'leasehold_certificate_expiry_timestamp_seconds{{{GATEWAY},use="grpc"}}': "605400x20 9999999x10",
          f'leasehold_certificate_expiry_timestamp_seconds{{{GATEWAY},use="sql"}}': "9999999x31"},
         [10], [11, 20], 21, f'{GATEWAY},use="grpc"', "The certificate for grpc of gateway ends within a week."),
    counted("LeaseholdCertificateUnusable", f'leasehold_certificate_reload_failures_total{{{GATEWAY},use="sql"}}',
            f'{GATEWAY},use="sql"', "A changed certificate for sql of gateway could not be used; the old one stays."),
    counted("LeaseholdPolicyUnusable", f'leasehold_reload_failures_total{{{GATEWAY},file="policy"}}', f'{GATEWAY},file="policy"',
            "A changed file of policy, tokens or keys could not be used: policy; what was read before stays."),
    counted("LeaseholdAuditLost", f"leasehold_audit_lost_total{{{GATEWAY}}}", GATEWAY,
            "Audit events were lost: the buffer was full."),
    counted("LeaseholdAuditTampered", f"leasehold_audit_tampered_total{{{GATEWAY}}}", GATEWAY,
            "The newest record of the audit trail was not what its gateway had written."),
]


def expected(case, rule):
    labels = dict(label.split("=") for label in case.labels.split(",") if label)
    return {"exp_labels": {**{name: value.strip('"') for name, value in labels.items()}, **rule["labels"]},
            "exp_annotations": {"summary": case.says, "runbook_url": rule["annotations"]["runbook_url"]}}


def unit_test(case, rule):
    """As promtool reads it."""
    looks = [(minute, []) for minute in [*case.quiet, case.resolved]]
    looks += [(minute, [expected(case, rule)]) for minute in case.fires]
    return {"name": case.alert, "interval": "1m",
            "input_series": [{"series": series, "values": values} for series, values in case.series.items()],
            "alert_rule_test": [{"alertname": case.alert, "eval_time": f"{minute}m", "exp_alerts": alerts}
                                for minute, alerts in looks]}


def verdict(cases, with_groups):
    """promtool's exit status, and what it says."""
    by_name = {rule["alert"]: rule for rule in rules()}
    with tempfile.TemporaryDirectory() as folder:
        for name, content in (("rules.yaml", {"groups": with_groups}),
                              ("tests.yaml", {"rule_files": ["rules.yaml"], "evaluation_interval": "1m",
                                              "tests": [unit_test(case, by_name[case.alert]) for case in cases]})):
            with open(f"{folder}/{name}", "w", encoding="utf-8") as file:
                yaml.safe_dump(content, file)
        done = subprocess.run(["promtool", "test", "rules", f"{folder}/tests.yaml"], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


class Alerts(unittest.TestCase):
    def test_each_has_a_case(self):
        self.assertEqual([case.alert for case in CASES], [rule["alert"] for rule in rules()])

    def test_they_fire_in_their_time_and_end(self):
        status, said = verdict(CASES, groups())
        self.assertEqual(status, 0, said)

    def test_rules_that_do_not_wait_would_be_found(self):
        hasty, waited = copy.deepcopy(groups()), []
        for rule in (rule for group in hasty for rule in group["rules"]):
            if rule.pop("for", None):
                waited.append(rule["alert"])
        _, said = verdict(CASES, hasty)
        self.assertEqual(sorted(set(re.findall(r"name: (\w+),$", said, re.M))), sorted(waited))


if __name__ == "__main__":
    _, arguments = started(__doc__, "promtool")
    unittest.main(argv=arguments, verbosity=2)
