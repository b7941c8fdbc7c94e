"""A stack that is looked at: its daemons' /metrics, and what makes every series appear."""

import argparse
import contextlib
import pathlib
import shutil
import socket
import sys
import tempfile
import urllib.request

import psycopg
import yaml

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "drivers"))

from stack import Stack, eventually  # noqa: E402  (a neighbour's, found by the line above)


def started(about, tool):
    """Of the command line: the folder of the binaries, and what is unittest's. Exits with 77 where there is no `tool`."""
    if not shutil.which(tool):
        print(f"SKIPPED: there is no {tool} here")
        sys.exit(77)
    parser = argparse.ArgumentParser(description=about.partition("\n")[0])
    parser.add_argument("--binaries", required=True)
    flags, rest = parser.parse_known_args()
    return flags.binaries, [sys.argv[0], *rest]


@contextlib.contextmanager
def watched_stack(binaries, arguments=()):
    """(stack, folder of its configuration and migrations, which is the test's to change)"""
    with tempfile.TemporaryDirectory(prefix="leasehold-monitoring-") as folder:
        folder = pathlib.Path(folder)
        folder.chmod(0o755)
        shutil.copytree(HERE / "migrations", folder / "migrations")
        (folder / "tokens").write_text("")
        (folder / "backups").mkdir()
        config = yaml.safe_load((HERE / "leasehold.yaml").read_text())
        config["gateway"]["tokens_file"] = "tokens"
        (folder / "leasehold.yaml").write_text(yaml.safe_dump(config))
        with Stack(binaries, folder / "leasehold.yaml", arguments) as stack:
            yield stack, folder


def targets(stack):
    """{(job, service): host:port}; the gateway's service is empty."""
    config = yaml.safe_load((stack.directory / "config.yaml").read_text())
    return {("gateway", ""): stack.env["LEASEHOLD_HTTP"],
            **{("provisioner", service["name"]): service["http_listen"] for service in config["services"]}}


def scrape(address):
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
        return answer.read().decode()


def publish(stack, subject, payload):
    """By the bare NATS protocol; returns when the server has it."""
    host, port = stack.env["LEASEHOLD_NATS"].removeprefix("nats://").rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(b'CONNECT {"verbose":false}\r\n' + f"PUB {subject} {len(payload)}\r\n{payload}\r\nPING\r\n".encode())
        heard = b""
        while b"PONG" not in heard:
            heard += connection.recv(4096)


def connect(stack, *lease):
    return psycopg.connect(stack.lease(*lease)[1], autocommit=True)


def make_a_failing_tenant(stack, tenant, service="alpha"):
    """Its database's name is taken."""
    with stack.superuser(service) as superuser:
        superuser.execute(f'CREATE DATABASE "tenant_{tenant}_{service}"')
    stack.leasehold("tenant", "create", tenant)


def wait_for(what, condition, patience=60.0):
    if not eventually(condition, patience):
        raise AssertionError(f"{what}: not within {patience:g} s")
