"""The daemons, as somebody meets them who starts one by hand: which build it is, and a log to be read by people."""

import argparse
import os
import pathlib
import pty
import re
import signal
import socket
import subprocess
import tempfile

CONFIG = """
gateway: {{grpc_listen: "127.0.0.1:{0}", sql_listen: "127.0.0.1:{1}", http_listen: "127.0.0.1:{2}"}}
registry: {{dsn: "host=127.0.0.1 port=1 dbname=leasehold user=leasehold"}}
nats: {{url: "nats://127.0.0.1:1"}}
leases: {{signing_keys_file: signing}}
services:
  - {{name: alpha, http_listen: "127.0.0.1:{3}", instance: {{port: 1, role_key_file: role}}}}
"""


def free_ports(count):
    """Different from each other: held until all are found."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def first_line(*command):
    """What the program writes first to a terminal, before it is stopped."""
    ours, its = pty.openpty()
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=its, stderr=its) as process:
        os.close(its)
        text = b""
        while b"\n" not in text:
            text += os.read(ours, 4096)
        process.send_signal(signal.SIGTERM)
        try:
            while os.read(ours, 4096):
                pass
        except OSError:  # its end is closed
            pass
        status = process.wait()
    os.close(ours)
    assert status == 0, (command, status, text)
    return text.decode().splitlines()[0]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binaries", required=True)
    binaries = pathlib.Path(parser.parse_args().binaries)

    def version(program):
        return subprocess.run([binaries / program, "--version"], text=True, capture_output=True, check=True).stdout

    ours = version("leasehold")
    for daemon in ("leasehold-gateway", "leasehold-provisioner"):
        assert version(daemon) == ours.replace("leasehold", daemon, 1), (version(daemon), ours)

    with tempfile.TemporaryDirectory() as folder:
        config = pathlib.Path(folder) / "leasehold.yaml"
        config.write_text(CONFIG.format(*free_ports(4)))
        for name, content in (("signing", "1 " + "a" * 64), ("role", "b" * 64)):
            key = pathlib.Path(folder) / name
            key.write_text(content + "\n")
            key.chmod(0o600)
        for command in (("leasehold-gateway",), ("leasehold-provisioner", "--service", "alpha")):
            line = first_line(binaries / command[0], "--config", config, *command[1:])
            assert re.match(r"(\x1b\[\d+m)?\d", line), line  # a time, and no JSON


main()
