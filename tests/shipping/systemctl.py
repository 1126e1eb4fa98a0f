"""Stands in for systemctl where no systemd runs: starts and stops the instances by what is in their unit, below a folder that takes the
place of `/`, and has nginx reload.

usage: systemctl.py start|stop|restart|enable --now|reload UNIT, with the folder in SHIPPING_ROOT
"""
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

from common import UNITS, directives, expect

ROOT = pathlib.Path(os.environ["SHIPPING_ROOT"])
UNIT = UNITS / "cfimages@.service"
# A clean environment, as systemd gives, and what this machine is different by.
PASSED_ON = ("PATH", "PGPORT", "SSL_CERT_FILE")


def is_running(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def seconds(name):
    return int(directives(UNIT, name)[0])


class Instance:
    def __init__(self, port):
        self.port = port
        self.credentials = ROOT / "run/credentials" / port
        self.pid_file = ROOT / "run" / f"{port}.pid"

    def here(self, text):
        text = text.replace("%i", self.port).replace("%d", str(self.credentials))
        for folder in ("/etc/", "/var/", "/usr/local/bin/"):
            text = text.replace(folder, f"{ROOT}{folder}")
        return text

    def start(self):
        self.credentials.mkdir(parents=True, exist_ok=True)
        for credential in directives(UNIT, "LoadCredential"):
            name, path = credential.split(":")
            shutil.copy(self.here(path), self.credentials / name)
        environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        environment |= dict(self.here(setting).split("=", 1) for setting in directives(UNIT, "Environment"))
        with open(ROOT / "run" / f"{self.port}.log", "ab") as log:
            server = subprocess.Popen(
                self.here(directives(UNIT, "ExecStart")[0]).split(),
                env=environment,
                cwd=self.here(directives(UNIT, "WorkingDirectory")[0]),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.pid_file.write_text(str(server.pid))
        shell, flag, script = self.here(directives(UNIT, "ExecStartPost")[0]).replace("$$", "$").split(" ", 2)
        environment["MAINPID"] = str(server.pid)
        started = subprocess.run([shell, flag, script.strip("'")], env=environment, timeout=seconds("TimeoutStartSec"), check=False)
        expect(started.returncode == 0, f"the instance on port {self.port} does not start: see its log")

    def stop(self):
        pid = int(self.pid_file.read_text())
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + seconds("TimeoutStopSec")
        while is_running(pid):
            expect(time.monotonic() < deadline, f"the instance on port {self.port} does not stop in time")
            time.sleep(0.02)
        self.pid_file.unlink()


def main(action, *units):
    for unit in units:
        if unit == "nginx":
            expect(action == "reload", f"{action} {unit}")
            os.kill(int((ROOT / "run/nginx.pid").read_text()), signal.SIGHUP)
            continue
        if not unit.startswith("cfimages@"):
            continue
        instance = Instance(unit.removeprefix("cfimages@"))
        if action in ("stop", "restart"):
            instance.stop()
        if action in ("start", "restart", "enable"):
            instance.start()


if __name__ == "__main__":
    main(sys.argv[1], *(argument for argument in sys.argv[2:] if not argument.startswith("-")))
