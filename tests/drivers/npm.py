"""Packages of npm's, for tests: where no registry can be reached the program ends with 77, ctest's skip."""

import re
import shutil
import subprocess
import sys

SKIP = 77
# npm's words for "there is no way to the registry".
UNREACHABLE = {"ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH", "EHOSTUNREACH",
               "ERR_SOCKET_TIMEOUT", "SELF_SIGNED_CERT_IN_CHAIN", "UNABLE_TO_GET_ISSUER_CERT_LOCALLY"}


def npm_install(folder, work):
    """Installs what `folder`'s package-lock.json names into `work`, once a version of that file."""
    work.mkdir(parents=True, exist_ok=True)
    lock = (folder / "package-lock.json").read_bytes()
    stamp = work / "installed"
    if stamp.exists() and stamp.read_bytes() == lock:
        return
    for name in ("package.json", "package-lock.json"):
        shutil.copy(folder / name, work / name)
    done = subprocess.run(
        ["npm", "ci", "--no-fund", "--no-audit", "--no-update-notifier", "--ignore-scripts", "--fetch-retries=1",
         "--fetch-timeout=30000"],
        cwd=work, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        print(done.stdout)
        code = re.search(r"code (\S+)", done.stdout)
        if code and code[1] in UNREACHABLE:
            print(f"SKIPPED: npm cannot reach a registry ({code[1]})")
            sys.exit(SKIP)
        sys.exit("npm could not install what package-lock.json names")
    stamp.write_bytes(lock)
