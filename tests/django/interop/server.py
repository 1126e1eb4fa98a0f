"""The binary: its commands, and a running server."""

import http.client
import json
import os
import subprocess
import time
from pathlib import Path

from .comparing import Difference, parse

PREFIX = "/cloudflare-images/api/"
READY_WITHIN_SECONDS = 30
STOPPED_WITHIN_SECONDS = 30


class Answer:
    """What a request was answered with."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = {name.lower(): value for name, value in headers}
        self.text = body.decode()

    @property
    def json(self):
        """The body as JSON; nothing where it is empty."""
        return parse(self.text) if self.text else None

    def expect(self, status):
        """Fails unless the status is this."""
        if self.status != status:
            raise Difference(f"the answer is {self.status} instead of {status}: {self.text[:500]}")
        return self


class Api:
    """Requests to one of the two servers. Paths are below the API's, unless they begin with a slash."""

    def __init__(self, send, headers):
        self._send = send
        self._headers = headers

    def request(self, method, path, data=None, body=None, headers=None):
        """Sends one request, with JSON where there is data."""
        headers = {**self._headers, **(headers or {})}
        if data is not None:
            body = json.dumps(data).encode()
        if body is not None:
            headers.setdefault("Content-Type", "application/json")
        return self._send(method, path if path.startswith("/") else PREFIX + path, headers, body)

    def get(self, path, **options):
        """Sends GET."""
        return self.request("GET", path, **options)

    def post(self, path, data=None, **options):
        """Sends POST."""
        return self.request("POST", path, data, **options)

    def patch(self, path, data, **options):
        """Sends PATCH."""
        return self.request("PATCH", path, data, **options)

    def delete(self, path, **options):
        """Sends DELETE."""
        return self.request("DELETE", path, **options)


class Binary:
    """A built cfimages."""

    def __init__(self, path):
        self.path = path

    def run(self, *arguments, environment, status=0, stdin=""):
        """Runs a command to its end, and answers what it printed."""
        done = subprocess.run(
            [self.path, *arguments],
            env=_clean(environment),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
        )
        if status is not None and done.returncode != status:
            raise Difference(
                f"`cfimages {' '.join(arguments)}` ended with {done.returncode} instead of {status}:\n"
                f"{done.stdout}{done.stderr}"
            )
        return done

    def serve(self, environment, log):
        """Starts the server on a free port of this machine."""
        return Server(self.path, _clean(environment), log)


class Server:
    """A running server."""

    def __init__(self, path, environment, log):
        self._log = Path(log)
        with self._log.open("w") as stderr:
            self._process = subprocess.Popen(
                [path, "serve", "--listen", "127.0.0.1:0"],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
            )
        try:
            self.address = self._wait_for_address()
        except BaseException:
            self.stop()
            raise

    def _wait_for_address(self):
        deadline = time.monotonic() + READY_WITHIN_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            for entry in self.log_entries():
                if "address" in entry:
                    return entry["address"]
            time.sleep(0.01)
        raise Difference(f"the server does not start:\n{self._log.read_text()}")

    def log_entries(self):
        """The whole lines of the log so far."""
        return [json.loads(line) for line in self._log.read_text().splitlines(True) if _is_entry(line)]

    def send(self, method, path, headers, body):
        """Sends one request."""
        connection = http.client.HTTPConnection(self.address, timeout=60)
        try:
            connection.request(method, path, body=body, headers=headers)
            response = connection.getresponse()
            return Answer(response.status, response.getheaders(), response.read())
        finally:
            connection.close()

    def stop(self):
        """Stops it, and waits for its end."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(STOPPED_WITHIN_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise Difference("the server does not stop when it is told to") from None


def _is_entry(line):
    return line.startswith("{") and line.endswith("}\n")


def _clean(environment):
    """Nothing that configures a developer's own server may reach this one."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG") if name in os.environ}
    return kept | environment
