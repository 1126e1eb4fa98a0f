"""python -m interop BINARY [NAME...]"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .databases import NoPostgres, postgres_server

PROJECT = Path(__file__).resolve().parents[1]


def main(binary, *names):
    """Runs the checks on both engines, and answers the exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="cfimages-django.") as folder:
        results = [run("sqlite", folder, binary, folder, names)]
        with postgres_server() as url:
            results.append(run("postgres", url, binary, folder, names))
    totals = {key: sum(result[key] for result in results) for key in ("passed", "failed")}
    seconds = time.monotonic() - started
    print(f"\nDjango beside cfimages, {seconds:.0f} s: {totals['passed']} passed, {totals['failed']} failed")
    return 0 if totals["passed"] and not totals["failed"] else 1


def run(engine, place, binary, folder, names):
    """Runs the checks on one engine: in a process of its own, as Django cannot change the engine."""
    result = Path(folder, f"{engine}.json")
    command = [sys.executable, "-m", "interop.worker", engine, place, binary, folder, str(result), *names]
    process = subprocess.Popen(command, cwd=PROJECT)
    try:
        code = process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise
    if code != 0:
        raise SystemExit(f"the checks on {engine} were broken off with {code}")
    return json.loads(result.read_text())


if __name__ == "__main__":
    try:
        sys.exit(main(os.path.realpath(sys.argv[1]), *sys.argv[2:]))
    except NoPostgres as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
