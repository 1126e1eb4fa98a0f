"""What both parts need."""
import pathlib
import re
import subprocess
import sys

PROJECT = pathlib.Path(__file__).resolve().parents[2]
UNITS = PROJECT / "contrib" / "systemd"


class Failure(Exception):
    """Something is not as it should be."""


def expect(condition, message):
    if not condition:
        raise Failure(message)


def run(*command, **options):
    """Runs a program, and returns what it printed; it must succeed."""
    try:
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **options)
    except FileNotFoundError as error:
        raise Failure(f"{command[0]} is not installed; tests/shipping/README.md lists what is needed") from error
    if done.returncode:
        raise Failure(f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def directives(unit, name):
    """The values of a directive of a unit, in their order."""
    return re.findall(rf"^{name}=(.*)$", unit.read_text(), re.MULTILINE)


def carry_out(checks):
    """Carries out the checks one after the other; the process fails where one does."""
    for check in checks:
        try:
            note = check()
        except Failure as failure:
            print(f"FAILED  {check.__doc__}\n{failure}", flush=True)
            sys.exit(1)
        print(f"ok      {check.__doc__}{f' ({note})' if note else ''}", flush=True)
