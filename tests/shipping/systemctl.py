"""Stands in for systemctl where no systemd runs: runs the services by what is in their units, below a folder that takes the place of `/`,
and has nginx reload.

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
# A clean environment, as systemd gives, and what this machine is different by.
PASSED_ON = ("PATH", "PGPORT", "SSL_CERT_FILE")
# In the place of `cfimages`, who may not be there. Others than root cannot become somebody else.
USER = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}


def is_running(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Service:
    def __init__(self, name):
        base, at, self.instance = name.removesuffix(".service").partition("@")
        self.name = self.instance or base
        self.unit = UNITS / f"{base}{at}.service"
        self.credentials = ROOT / "run/credentials" / self.name
        self.pid_file = ROOT / "run" / f"{self.name}.pid"

    def values(self, directive):
        return [self.here(value) for value in directives(self.unit, directive)]

    def seconds(self, directive):
        return int(self.values(directive)[0])

    def here(self, text):
        text = text.replace("%i", self.instance).replace("%d", str(self.credentials))
        for folder in ("/etc/", "/var/", "/usr/local/bin/"):
            text = text.replace(folder, f"{ROOT}{folder}")
        return text

    def environment(self):
        self.credentials.mkdir(parents=True, exist_ok=True)
        for credential in self.values("LoadCredential"):
            name, path = credential.split(":")
            shutil.copy(path, self.credentials / name)
            if USER:
                shutil.chown(self.credentials / name, USER["user"])
        environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        return environment | dict(setting.split("=", 1) for setting in self.values("Environment"))

    def run(self):
        """For a service of the type `oneshot`."""
        done = subprocess.run(self.values("ExecStart")[0].split(), env=self.environment(), cwd=self.values("WorkingDirectory")[0], check=False, **USER)
        expect(done.returncode == 0, f"{self.name} fails")

    def start(self):
        environment = self.environment()
        with open(ROOT / "run" / f"{self.name}.log", "ab") as log:
            server = subprocess.Popen(
                self.values("ExecStart")[0].split(),
                env=environment,
                cwd=self.values("WorkingDirectory")[0],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **USER,
            )
        self.pid_file.write_text(str(server.pid))
        environment["MAINPID"] = str(server.pid)
        shell, flag, script = self.values("ExecStartPost")[0].replace("$$", "$").split(" ", 2)
        started = subprocess.run([shell, flag, script.strip("'")], env=environment, timeout=self.seconds("TimeoutStartSec"), check=False, **USER)
        expect(started.returncode == 0, f"{self.name} does not start: see its log")

    def stop(self):
        pid = int(self.pid_file.read_text())
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + self.seconds("TimeoutStopSec")
        while is_running(pid):
            expect(time.monotonic() < deadline, f"{self.name} does not stop in time")
            time.sleep(0.02)
        self.pid_file.unlink()


def main(action, *units):
    for unit in units:
        if unit == "nginx":
            expect(action == "reload", f"{action} {unit}")
            os.kill(int((ROOT / "run/nginx.pid").read_text()), signal.SIGHUP)
        elif unit == "cfimages-cleanup":
            Service(unit).run()
        else:
            service = Service(unit)
            if action in ("stop", "restart"):
                service.stop()
            if action in ("start", "restart", "enable"):
                service.start()


if __name__ == "__main__":
    main(sys.argv[1], *(argument for argument in sys.argv[2:] if not argument.startswith("-")))
