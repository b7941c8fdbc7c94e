"""PgBouncer as the peer: transaction mode, prepared statements on, SCRAM on both legs, no TLS, no Unix socket."""
import os
import shutil
import signal
import socket
import subprocess
import time

from harness.rounds import Failure
from harness.stack import PEER_ROLE

# One login for all databases, and so one limit over all of them: the nearest that PgBouncer has to Leasehold's cap.
#
# Its auth_file holds the verifier that PostgreSQL keeps of the role. A client's SCRAM keys then serve for the server too, and
# PgBouncer stretches nothing, neither for clients nor for servers (Leasehold has a secret of one iteration at the server).
# Given the password itself, 1.24 does 4,096 iterations anew for each client, 3 ms of its one core
# (https://github.com/pgbouncer/pgbouncer/issues/1335), which no figure here is to rest on.
INI = """[databases]
* = host=127.0.0.1 port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
server_tls_sslmode = disable
pool_mode = transaction
max_prepared_statements = 200
default_pool_size = {cap}
max_user_connections = {cap}
max_client_conn = 12000
server_login_retry = 1
logfile = {log}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class PgBouncer:
    def __init__(self, stack, cap):
        self.stack = stack
        self.cap = cap
        self.port = free_port()
        self.process = None

    def __enter__(self):
        folder = self.stack.path("pgbouncer")
        os.mkdir(folder)
        users = os.path.join(folder, "users.txt")
        config = os.path.join(folder, "pgbouncer.ini")
        log = os.path.join(folder, "log")
        with open(users, "w", encoding="utf-8") as file:
            verifier = self.stack.psql(f"SELECT rolpassword FROM pg_authid WHERE rolname = '{PEER_ROLE}'")
            file.write(f'"{PEER_ROLE}" "{verifier}"\n')
        with open(config, "w", encoding="utf-8") as file:
            file.write(INI.format(server=self.stack.port, port=self.port, users=users, cap=self.cap, log=log))
        command = ["pgbouncer", "-q", config]
        if os.geteuid() == 0:  # it refuses to run as root
            shutil.chown(folder, "postgres")
            command[1:1] = ["-u", "postgres"]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        for _ in range(200):
            try:
                self.stack.run("psql", "-XAtqc", "SELECT 1", self.dsn("postgres"))
                return self
            except Failure as failure:
                if self.process.poll() is not None:
                    self.__exit__()
                    with open(log, encoding="utf-8", errors="replace") as file:
                        raise SystemExit("PgBouncer did not start:\n" + file.read()) from failure
                time.sleep(0.05)
        self.__exit__()
        raise SystemExit("PgBouncer does not answer")

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)  # at once, whoever is connected
            self.process.wait()
        shutil.rmtree(self.stack.path("pgbouncer"), ignore_errors=True)

    @property
    def pid(self):
        return self.process.pid

    def dsn(self, database):
        return self.stack.dsn_of_peer(self.port, database)
