#!/usr/bin/env python3
"""Kills a server in the middle of thousands of webhooks, and proves that none of those that it acknowledged is lost.

usage: tests/durability/run.py BINARY [--webhooks N] [--connections N] [--engine sqlite|postgres]

Needs nothing beside Python 3.9 and, for PostgreSQL, its server; without one that half is left out, unless
CFIMAGES_TEST_REQUIRE_POSTGRES=1 makes it a failure.
"""

import argparse
import asyncio
import contextlib
import glob
import hashlib
import hmac
import json
import os
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))
sys.dont_write_bytecode = True  # The sources stay as they are.
from ports import free_port  # noqa: E402

SECRET = "whsec-durability"
PATH = "/cloudflare-images/api/webhook/"
COLUMNS = (
    "id, cloudflare_id, filename, original_filename, content_type, upload_url, require_signed_urls, metadata, format, "
    "variants, cloudflare_metadata, creator, status, expires_at, created_at, updated_at"
)
PENDING = "'', '', '', '', true, '{}', '', '[]', '{}', '', 'pending'"
STATES = (
    "SELECT cloudflare_id, status, (SELECT count(*) FROM cloudflare_image_logs AS logs WHERE logs.image_id = images.id "
    "AND event_type = 'webhook_received') FROM cloudflare_images AS images"
)


class Failure(Exception):
    """What must not happen did."""


class Sqlite:
    name = "SQLite"

    def __init__(self, folder):
        self.path = os.path.join(folder, "cfimages.db")
        self.url = f"sqlite://{self.path}"

    def insert_images(self, count):
        time_ = "'2026-01-01 00:00:00'"
        with contextlib.closing(sqlite3.connect(self.path)) as database, database:
            database.executemany(
                f"INSERT INTO cloudflare_images ({COLUMNS}) VALUES (?, ?, {PENDING}, '2099-01-01 00:00:00', {time_}, {time_})",
                ((f"{number:032x}", f"img-{number}") for number in range(count)),
            )

    def states(self):
        with contextlib.closing(sqlite3.connect(self.path)) as database:
            return {id_: (status, logs) for id_, status, logs in database.execute(STATES)}

    def stop(self):
        pass


class Postgres:
    """A server of its own, in a folder, without a port."""

    name = "PostgreSQL"

    def __init__(self, folder):
        self.bin = postgres_folder()
        self.folder = os.path.join(folder, "postgres")
        os.mkdir(self.folder)
        self.as_owner = []
        if os.geteuid() == 0:  # It refuses to run as root.
            shutil.chown(self.folder, "postgres")
            os.chmod(folder, 0o711)
            self.as_owner = ["runuser", "-u", "postgres", "--"]
        data = os.path.join(self.folder, "data")
        self.run("initdb", "-D", data, "-A", "trust", "-U", "postgres", "--locale=C.UTF-8", "--encoding=UTF8", "--no-sync")
        options = f"-c listen_addresses= -c unix_socket_directories={self.folder}"
        self.control = ["pg_ctl", "-D", data, "-w", "-l", os.path.join(self.folder, "log"), "-o", options]
        self.run(*self.control, "start")
        self.url = f"postgres://postgres@localhost/postgres?host={self.folder}"

    def run(self, program, *arguments):
        command = [*self.as_owner, os.path.join(self.bin, program), *arguments]
        # What pg_ctl starts would keep a pipe open.
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.folder, check=False)
        if done.returncode:
            raise Failure(f"{program} failed")

    def query(self, statement):
        psql = [os.path.join(self.bin, "psql"), "-h", self.folder, "-U", "postgres", "-XAtq", "-F", "\t", "-c", statement]
        done = subprocess.run([*self.as_owner, *psql], capture_output=True, text=True, cwd=self.folder, check=False)
        if done.returncode:
            raise Failure(f"psql failed: {done.stderr}")
        return done.stdout

    def insert_images(self, count):
        self.query(
            f"INSERT INTO cloudflare_images ({COLUMNS}) SELECT lpad(to_hex(number), 32, '0')::uuid, 'img-' || number, {PENDING}, "
            f"'2099-01-01', '2026-01-01', '2026-01-01' FROM generate_series(0, {count - 1}) AS number"
        )

    def states(self):
        rows = (line.split("\t") for line in self.query(STATES).splitlines())
        return {id_: (status, int(logs)) for id_, status, logs in rows}

    def stop(self):
        self.run(*self.control, "-m", "immediate", "stop")


def postgres_folder():
    """Where the programs of PostgreSQL's server are, or None."""
    on_path = shutil.which("initdb")
    if on_path:
        return os.path.dirname(os.path.realpath(on_path))
    folders = [os.path.dirname(path) for path in glob.glob("/usr/lib/postgresql/*/bin/initdb")]
    return max(folders, key=lambda folder: float(folder.split("/")[-2]), default=None)


class Server:
    """The binary under test, which can be killed and started again."""

    def __init__(self, binary, database, folder):
        self.binary, self.folder = binary, folder
        self.port = free_port()
        self.environment = {
            "PATH": os.environ.get("PATH", ""),
            "DATABASE_URL": database.url,
            "CFIMAGES_LISTEN": f"127.0.0.1:{self.port}",
            "CFIMAGES_LOG": "warn",
            "CLOUDFLARE_IMAGES_ACCOUNT_ID": "account",
            "CLOUDFLARE_IMAGES_API_TOKEN": "token",
            # Nobody is there, and nobody is asked.
            "CLOUDFLARE_IMAGES_BASE_URL": "http://127.0.0.1:9",
            "CLOUDFLARE_IMAGES_WEBHOOK_SECRET": SECRET,
            "CFIMAGES_JOBS": "false",
        }
        self.process = None

    def start(self):
        log = os.path.join(self.folder, "server.log")
        with open(log, "ab") as output:
            command = [self.binary, "serve", "--migrate"]
            self.process = subprocess.Popen(command, env=self.environment, cwd=self.folder, stdout=output, stderr=output)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=1).close()
                return
            time.sleep(0.05)
        with open(log, encoding="utf-8", errors="replace") as text:
            raise Failure(f"the server does not become ready:\n{text.read()}")

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()


def request_for(number):
    """A signed report that an image was uploaded, as it goes over the wire."""
    body = json.dumps({"id": f"img-{number}", "uploaded": "2026-01-01T00:00:00Z"}).encode()
    signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"X-Signature: sha256={signature}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def read_status(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
    )
    await reader.readexactly(length)
    return int(head.split(b" ", 2)[1])


async def send(port, numbers, connections, acknowledged, after_each=None):
    """Sends reports over many connections at once; notes those that are acknowledged. Connections that break end."""
    waiting = iter(numbers)

    async def one_connection():
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for number in waiting:
                writer.write(request_for(number))
                status = await read_status(reader)
                if status == 200:
                    acknowledged.add(f"img-{number}")
                elif status != 500:
                    raise Failure(f"a webhook was answered with {status}")
                if after_each:
                    after_each()
            writer.close()

    await asyncio.gather(*(one_connection() for _ in range(connections)))


def check(states, acknowledged, moment):
    lost = [id_ for id_ in acknowledged if states[id_] != ("uploaded", 1)]
    if lost:
        raise Failure(f"{moment}: {len(lost)} acknowledged webhooks are lost or doubled, such as {lost[0]}: {states[lost[0]]}")
    torn = [id_ for id_, state in states.items() if state not in {("pending", 0), ("uploaded", 1)}]
    if torn:
        raise Failure(f"{moment}: {len(torn)} images are half changed or doubled, such as {torn[0]}: {states[torn[0]]}")


def try_on(make_database, options):
    with tempfile.TemporaryDirectory(prefix="cfimages-durability-") as folder:
        database = make_database(folder)
        server = None
        try:
            server = Server(options.binary, database, folder)
            server.start()
            database.insert_images(options.webhooks)
            run(server, database, options)
        finally:
            if server:
                server.kill()
            database.stop()


def run(server, database, options):
    started, acknowledged = time.monotonic(), set()
    everything = range(options.webhooks)
    kill_after = options.webhooks // 3

    def kill_in_the_middle():
        if len(acknowledged) >= kill_after:
            server.kill()

    asyncio.run(send(server.port, everything, options.connections, acknowledged, kill_in_the_middle))
    if server.process.poll() is None or not kill_after <= len(acknowledged) < options.webhooks:
        raise Failure(f"the server was not killed in the middle, but after {len(acknowledged)} webhooks")
    before = len(acknowledged)
    server.start()
    check(database.states(), acknowledged, "after the restart")
    recorded = sum(state == ("uploaded", 1) for state in database.states().values())

    # Who got no answer sends again, and some of those who got one do, too.
    asyncio.run(send(server.port, everything, options.connections, acknowledged))
    states = database.states()
    check(states, acknowledged, "after all were sent again")
    missing = [id_ for id_, state in states.items() if state != ("uploaded", 1)]
    if missing or len(acknowledged) != options.webhooks:
        raise Failure(f"{len(missing)} webhooks were never recorded, {options.webhooks - len(acknowledged)} not acknowledged")
    print(
        f"{database.name}: killed after {before} acknowledged webhooks of {options.webhooks}; none was lost, {recorded - before} more "
        f"were recorded whose answer was lost; sent again, each was recorded once ({time.monotonic() - started:.1f} s)"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary", type=os.path.realpath)
    parser.add_argument("--webhooks", type=int, default=5000)
    parser.add_argument("--connections", type=int, default=200)
    parser.add_argument("--engine", choices=["sqlite", "postgres"])
    options = parser.parse_args()
    if options.engine != "postgres":
        try_on(Sqlite, options)
    if options.engine != "sqlite":
        if postgres_folder():
            try_on(Postgres, options)
        elif options.engine or os.environ.get("CFIMAGES_TEST_REQUIRE_POSTGRES") == "1":
            raise Failure("PostgreSQL's server is not there")
        else:
            print("PostgreSQL: left out, as its server is not there")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(f"durability run failed: {failure}")
