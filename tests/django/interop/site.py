"""A site of its own for each check: a database, Django on it, cfimages on it, and a scripted Cloudflare."""

import contextlib
import hashlib
import hmac
import json
import os
import subprocess
import sys
from pathlib import Path

from django.conf import settings
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connection, connections
from django.test import Client
from django.urls import set_script_prefix

from .cloudflare import Cloudflare
from .comparing import Difference
from .server import Answer, Api

PROJECT = Path(__file__).resolve().parents[1]


class Site:
    """Everything that a check works on. Django, in this process, uses its database until it is closed."""

    def __init__(self, engine, binary, folder, template=None):
        self.engine = engine
        self.is_sqlite = engine.name == "sqlite"
        self.database = engine.create(template)
        self._binary = binary
        self._folder = Path(folder)
        self._server = None
        self.cloudflare = Cloudflare()
        settings.CLOUDFLARE_IMAGES["BASE_URL"] = self.cloudflare.url
        use(engine.settings(self.database))

    def close(self):
        """Ends everything of it."""
        try:
            self.stop()
        finally:
            connections.close_all()
            self.cloudflare.close()
            self.engine.drop(self.database)

    @property
    def environment(self):
        """The settings of the site, as cfimages is told them."""
        toolkit = settings.CLOUDFLARE_IMAGES
        return {
            "DATABASE_URL": self.engine.url(self.database),
            "CFIMAGES_LOG_FORMAT": "json",
            **{
                f"CLOUDFLARE_IMAGES_{name}": toolkit[name]
                for name in ("ACCOUNT_ID", "ACCOUNT_HASH", "API_TOKEN", "BASE_URL", "WEBHOOK_SECRET")
            },
        }

    def cfimages(self, *arguments, status=0, stdin="", **environment):
        """Runs a command of cfimages, and answers what it printed to standard output."""
        done = self._binary.run(*arguments, environment=self.environment | environment, status=status, stdin=stdin)
        return done.stdout if status == 0 else done.stdout + done.stderr

    def serve(self, **environment):
        """Lets cfimages take the database over and serve it."""
        self.cfimages("migrate")
        self.start(**environment)

    def start(self, **environment):
        """Starts the server on the database as it is."""
        self._server = self._binary.serve(self.environment | environment, self._folder / "server.log")

    def stop(self):
        """Stops the server, where one runs."""
        if self._server:
            server, self._server = self._server, None
            server.stop()

    @property
    def address(self):
        """Where the server listens."""
        return self._server.address

    @property
    def complaints(self):
        """The errors that the server logged, but for its not being ready: checks see to that."""
        log = self._folder / "server.log"
        lines = log.read_text().splitlines() if log.exists() else []
        # That Cloudflare fails where a check has it fail is no fault of the server.
        expected = ["/readyz"] + ['"cfimages::cloudflare::failure"'] * bool(self.cloudflare.failing)
        return [line for line in lines if '"ERROR"' in line and not any(words in line for words in expected)]

    def api(self, user=None, **headers):
        """Requests to cfimages."""
        return Api(self._server.send, self._credentials(user) | headers)

    def toolkit(self, user=None, **headers):
        """Requests to the toolkit's own views, in this process."""
        return Api(self._send_to_toolkit, self._credentials(user) | headers)

    def webhook(self, body):
        """Sends a notification that is signed as the toolkit wants it."""
        body = body.encode()
        secret = settings.CLOUDFLARE_IMAGES["WEBHOOK_SECRET"].encode()
        signature = hmac.new(secret, body, hashlib.sha256).hexdigest()
        return self.api().post("webhook/", body=body, headers={"X-Signature": signature})

    def manage(self, *arguments):
        """Runs a command of the site in a process of its own, as its people do."""
        environment = os.environ | {"DJANGO_DATABASE": json.dumps(self.engine.settings(self.database))}
        done = subprocess.run(
            [sys.executable, PROJECT / "manage.py", *arguments],
            env=environment,
            cwd=PROJECT,
            capture_output=True,
            text=True,
            timeout=120,
        )
        if done.returncode != 0:
            raise Difference(f"`manage.py {' '.join(arguments)}` failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    @contextlib.contextmanager
    def copy(self):
        """A second database with the same rows. Nobody may write to the first until it is made."""
        connections.close_all()
        copy = self.engine.create(self.database)
        try:
            yield copy
        finally:
            connections.close_all()
            self.engine.drop(copy)

    @contextlib.contextmanager
    def another_database(self):
        """Lets Django use an empty database for a while."""
        connections.close_all()
        database = self.engine.create()
        try:
            with self.django_on(database):
                yield
        finally:
            self.engine.drop(database)

    @contextlib.contextmanager
    def django_on(self, database):
        """Lets Django use another database for a while."""
        use(self.engine.settings(database))
        try:
            yield
        finally:
            use(self.engine.settings(self.database))

    def rows(self, table):
        """The rows of a table as the database has them, by their keys."""
        return rows(table)

    def tables(self):
        """All rows of the tables that are not ours."""
        names = connection.introspection.table_names()
        return {table: rows(table) for table in names if not table.startswith("cfimages_")}

    def schema(self):
        """Everything that the database says about tables that are not ours: lines that name their table."""
        return schema_of_sqlite() if self.is_sqlite else schema_of_postgres()

    @staticmethod
    def _credentials(user):
        return {"Authorization": f"Token {token_of(user)}"} if user else {}

    def _send_to_toolkit(self, method, path, headers, body):
        headers = dict(headers)
        content_type = headers.pop("Content-Type", "application/octet-stream")
        # Links in answers name the host that was asked.
        headers["Host"] = self._server.address if self._server else "testserver"
        client = Client(enforce_csrf_checks=True, raise_request_exception=False)
        set_script_prefix("/")
        response = client.generic(method, path, body or b"", content_type=content_type, headers=headers)
        return Answer(response.status_code, response.items(), response.content)


def token_of(user):
    """The API token of a user of the template: known, so that nobody has to ask."""
    return hashlib.sha1(user.encode()).hexdigest()


def use(database):
    """Lets Django use a database from now on."""
    connections.close_all()
    connections.settings["default"].update(database)
    ContentType.objects.clear_cache()


def migrate(*arguments):
    """Runs Django's migrations in this process."""
    call_command("migrate", *arguments, verbosity=0, interactive=False)


def rows(table):
    """The rows of a table: by key, each a dictionary of what the database itself writes the values as."""
    with connection.cursor() as cursor:
        columns = [column.name for column in connection.introspection.get_table_description(cursor, table)]
        form = "quote({})" if connection.vendor == "sqlite" else "({})::text"
        names = [connection.ops.quote_name(column) for column in columns]
        cursor.execute(f"SELECT {', '.join(map(form.format, names))} FROM {connection.ops.quote_name(table)}")
        found = [dict(zip(columns, row)) for row in cursor.fetchall()]
    return {row[columns[0]]: row for row in found}


def schema_of_sqlite():
    """The texts that made everything but what is ours."""
    return query(
        r"""
        SELECT tbl_name AS "table", type, name, sql FROM sqlite_master
        WHERE name NOT LIKE 'cfimages\_%' ESCAPE '\' AND tbl_name NOT LIKE 'cfimages\_%' ESCAPE '\'
        ORDER BY 1, 2, 3"""
    )


def schema_of_postgres():
    """Columns, constraints and indexes of everything but what is ours. Sequences are what identity columns have."""
    statements = [
        r"""
        SELECT table_name AS "table", column_name, data_type, character_maximum_length, is_nullable,
            column_default, is_identity, identity_generation, identity_start, identity_increment, identity_maximum
        FROM information_schema.columns
        WHERE table_schema = current_schema() AND table_name NOT LIKE 'cfimages\_%' ORDER BY 1, ordinal_position""",
        r"""
        SELECT conrelid::regclass::text AS "table", conname, pg_get_constraintdef(oid) AS definition
        FROM pg_constraint
        WHERE connamespace = current_schema()::regnamespace AND conrelid::regclass::text NOT LIKE 'cfimages\_%'
        ORDER BY 1, 2""",
        r"""
        SELECT tablename AS "table", indexname, indexdef FROM pg_indexes
        WHERE schemaname = current_schema() AND indexname NOT LIKE 'cfimages\_%' ORDER BY 1, 2""",
        r"""
        SELECT tgrelid::regclass::text AS "table", tgname FROM pg_trigger
        WHERE NOT tgisinternal AND tgname NOT LIKE 'cfimages\_%' ORDER BY 1, 2""",
    ]
    return [line for statement in statements for line in query(statement)]


def query(statement):
    """The rows of a statement, as dictionaries."""
    with connection.cursor() as cursor:
        cursor.execute(statement)
        columns = [column[0] for column in cursor.description]
        return [dict(zip(columns, row)) for row in cursor.fetchall()]
