"""Runs the checks on one engine: python -m interop.worker ENGINE PLACE BINARY FOLDER RESULT [NAME...]"""

import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path

from .comparing import Difference
from .databases import Postgres, Sqlite
from .server import Binary

ENGINES = {"sqlite": Sqlite, "postgres": Postgres}


def main(engine, place, binary, folder, result, *names):
    """Runs the checks whose names hold one of the given texts, and writes down what came of it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    engine = ENGINES[engine](place)
    start_django(engine)
    from . import checks  # noqa: F401 (registers them)
    from .checking import CHECKS

    run = Run(engine, Binary(binary), folder)
    try:
        for check in CHECKS:
            if not names or any(name in f"{engine.name}: {check.name}" for name in names):
                run.check(check)
    finally:
        run.close()
    Path(result).write_text(json.dumps(run.result))


def start_django(engine):
    """Sets Django up on a database of its own that nothing is ever written to."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
    os.environ["DJANGO_DATABASE"] = json.dumps(engine.settings("nowhere"))
    import django

    django.setup()


class Run:
    """The checks of one engine, and the templates that their databases are copied from."""

    def __init__(self, engine, binary, folder):
        self.engine = engine
        self.binary = binary
        self.folder = folder
        self.templates = {}
        self.result = {"passed": 0, "failed": 0}

    def check(self, check):
        """Runs one check and prints a line."""
        site = self.site(check.template)
        started = time.monotonic()
        try:
            self.run(check, site)
        except Exception as error:  # Whatever a check stumbles over is a failure of it.
            told = "\n".join([_described(error).rstrip(), *site.complaints[-5:]])
            self.say("FAILED", "failed", check.name, f"\n{told}".replace("\n", "\n    "))
        else:
            self.say("ok", "passed", check.name, f" ({time.monotonic() - started:.1f} s)")

    def run(self, check, site):
        """Runs one check on a site of its own. What the server takes for its own fault is one, whatever else holds."""
        try:
            check.function(site)
            if site.complaints:
                raise Difference("the server logged errors")
        finally:
            site.close()

    def site(self, template):
        """A site with a copy of a template."""
        from .site import Site

        Path(self.folder, "server.log").unlink(missing_ok=True)
        return Site(self.engine, self.binary, self.folder, self.template(template))

    def template(self, name):
        """A database to copy, which is made when it is first asked for."""
        from . import templates

        if name not in self.templates:
            self.templates[name] = templates.make(self.engine, name)
        return self.templates[name]

    def say(self, word, key, name, more):
        """Prints what came of a check, and counts it."""
        self.result[key] += 1
        print(f"{word:<7} {self.engine.name}: {name}{more}", flush=True)

    def close(self):
        """Throws the templates away."""
        for database in self.templates.values():
            if database:
                self.engine.drop(database)


def _described(error):
    """What went wrong, and at which line of the check."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames if "/checks/" in frame.filename]
    if isinstance(error, Difference):
        return f"{places[-1] if places else frames[-1].filename}: {error}"
    return "".join([*traceback.format_list(frames[-4:]), *traceback.format_exception_only(error)])


if __name__ == "__main__":
    main(*sys.argv[1:])
