"""Run a command where no network is, and tell which host names it looked up.

Run as a script it must stand in network and mount namespaces of its own: it puts a name server of
its own on the loopback address, which answers that no name exists, and has /etc/resolv.conf name
it. So it sees what compiled libraries ask as well as what Python asks.
"""

import fcntl
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

UNSHARE = ("unshare", "--map-root-user", "--net", "--mount")
PORT = 53
SIOCSIFFLAGS, IFF_UP = 0x8914, 0x1
NO_SUCH_NAME = 3


def cannot_isolate():
    """Why such namespaces cannot be made here; None where they can."""
    if sys.platform != "linux" or not shutil.which("unshare") or not shutil.which("mount"):
        return "Linux's unshare and mount are not here"
    done = subprocess.run([*UNSHARE, "true"], capture_output=True, text=True)
    return None if done.returncode == 0 else f"unshare: {done.stderr.strip()}"


def run_isolated(command, folder, env, timeout=600):
    """``command`` as a finished process, and the host names that it looked up, in order."""
    with tempfile.TemporaryDirectory() as work:
        report = Path(work, "names.json")
        done = subprocess.run(
            [*UNSHARE, sys.executable, __file__, str(report), *command], cwd=folder, env=env,
            capture_output=True, text=True, timeout=timeout)
        return done, json.loads(report.read_text())


def _name_in(question):
    parts, offset = [], 12
    while question[offset]:
        parts.append(question[offset + 1:offset + 1 + question[offset]].decode("ascii", "replace"))
        offset += 1 + question[offset]
    return ".".join(parts), offset + 5


def _serve(server, names):
    while True:
        question, client = server.recvfrom(4096)
        name, end = _name_in(question)
        names.append(name)
        flags = struct.pack(">H", 0x8180 | NO_SUCH_NAME)
        counts = struct.pack(">4H", 1, 0, 0, 0)
        server.sendto(question[:2] + flags + counts + question[12:end], client)


def _bring_loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))


def main(report, command):
    """Run ``command`` and write the names that it looked up to ``report``."""
    _bring_loopback_up()
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as resolver:
        resolver.write("nameserver 127.0.0.1\noptions timeout:2 attempts:1\n")
        resolver.flush()
        subprocess.run(["mount", "--bind", resolver.name, "/etc/resolv.conf"], check=True)
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind(("127.0.0.1", PORT))
        names = []
        threading.Thread(target=_serve, args=(server, names), daemon=True).start()
        done = subprocess.run(command)
        Path(report).write_text(json.dumps(names))
    sys.stdout.flush()
    os._exit(done.returncode)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
