"""Databases of the two engines: made, copied and thrown away."""

import contextlib
import itertools
import os
import shutil
import sqlite3
import subprocess
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit, urlunsplit

CLUSTER_SCRIPT = Path(__file__).resolve().parents[2] / "it" / "support" / "cluster.sh"


class NoPostgres(Exception):
    """PostgreSQL is not to be had."""


class Sqlite:
    """Databases that are files in a folder."""

    name = "sqlite"

    def __init__(self, folder):
        self._folder = Path(folder)
        self._numbers = itertools.count()

    def create(self, source=None):
        """Makes an empty database, or a copy of one that nobody writes to."""
        path = self._folder / f"{next(self._numbers)}.db"
        if source:
            with contextlib.closing(sqlite3.connect(source)) as old, contextlib.closing(sqlite3.connect(path)) as new:
                old.backup(new)
        return str(path)

    def drop(self, database):
        """Throws a database away."""
        for suffix in ("", "-wal", "-shm", "-journal"):
            Path(database + suffix).unlink(missing_ok=True)

    def url(self, database):
        """Where cfimages finds it."""
        return f"sqlite://{database}"

    def settings(self, database):
        """Where Django finds it. Transactions that write say so at once, or they fail where others write, too."""
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": database,
            "OPTIONS": {"timeout": 30, "transaction_mode": "IMMEDIATE"},
        }


class Postgres:
    """Databases of one server."""

    name = "postgres"

    def __init__(self, url):
        self._url = urlsplit(url)
        self._prefix = f"cfimages_django_{os.getpid()}"
        self._numbers = itertools.count()

    def create(self, source=None):
        """Makes an empty database, or a copy of one that nobody is connected to."""
        database = f"{self._prefix}_{next(self._numbers)}"
        template = f' TEMPLATE "{source}"' if source else ""
        self._execute(f'CREATE DATABASE "{database}"{template}')
        return database

    def drop(self, database):
        """Throws a database away, whoever is connected to it."""
        self._execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')

    def url(self, database):
        """Where cfimages finds it."""
        return urlunsplit(self._url._replace(path=f"/{quote(database)}"))

    def settings(self, database):
        """Where Django finds it."""
        url, query = self._url, parse_qs(self._url.query)
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": database,
            "USER": unquote(url.username or ""),
            "PASSWORD": unquote(url.password or ""),
            "HOST": query.get("host", [url.hostname or ""])[0],
            "PORT": str(url.port or ""),
        }

    def _execute(self, statement):
        import psycopg

        with psycopg.connect(urlunsplit(self._url), autocommit=True) as connection:
            connection.execute(statement)


@contextlib.contextmanager
def postgres_server():
    """The URL of the server that `TEST_DATABASE_URL` names, or else of a throwaway cluster."""
    named = os.environ.get("TEST_DATABASE_URL")
    if named:
        yield named
        return
    # The script ends, and takes the cluster away, as soon as its input closes: however this process ends.
    script = subprocess.Popen(
        ["sh", str(CLUSTER_SCRIPT), find_binaries()],
        cwd="/",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with script:
        answer = script.stdout.readline()
        if not answer.startswith("ready "):
            raise NoPostgres("PostgreSQL did not start:\n" + answer + script.stdout.read())
        folder = answer.removeprefix("ready ").strip()
        yield f"postgres://postgres@localhost:5432/postgres?host={folder}"


def find_binaries():
    """The folder of the server's programs: in `PATH`, or the newest of Debian's."""
    found = shutil.which("initdb")
    if found:
        return str(Path(found).resolve().parent)
    versions = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if (path / "initdb").is_file()]
    if not versions:
        raise NoPostgres("no PostgreSQL server is installed (initdb in PATH, or Debian's package postgresql)")
    return str(max(versions, key=lambda path: int(path.parent.name)))
