"""Carries out the commands and programs of the README and of docs/: see README.md beside it."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

from blocks import PROJECT, blocks_of, tidy

sys.path.append(str(PROJECT / "tests"))
from ports import free_port  # noqa: E402

EXAMPLE = PROJECT / "examples" / "upload.rs"
# Documents that are not carried out here, and why.
LEFT_OUT = {
    "docs/deployment.md": "tests/shipping carries out its backups, upgrades, restarts and moves; containers and units need a machine of their own",
    "docs/migrating-from-django.md": "tests/guide carries it out",
}
PROGRAMS = {"sh", "console", "python", "js", "rust"}
PATIENCE = 120


class Failure(Exception):
    """A document says what is not so."""


@contextlib.contextmanager
def server(binary, document, folder):
    """`cfimages dev` in a folder, or the emulator alone for its document. Returns the addresses that documents name, and those in their place."""
    listen, emulator_listen = (f"127.0.0.1:{free_port()}" for _ in range(2))
    command, ready = ["dev", "--listen", listen, "--emulator-listen", emulator_listen], f"http://{listen}/readyz"
    if document == "docs/emulator.md":
        command, ready = ["emulator", "--memory", "--listen", emulator_listen], f"http://{emulator_listen}/"
    with open(folder / "server.log", "wb") as log:
        process = subprocess.Popen([binary, *command], cwd=folder, env=environment(), stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 30
        while not answers(ready):
            if process.poll() is not None or time.monotonic() > deadline:
                raise Failure(f"`cfimages {command[0]}` does not answer: {(folder / 'server.log').read_text()}")
            time.sleep(0.05)
        yield {"127.0.0.1:8000": listen, "127.0.0.1:8001": emulator_listen}
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)


def environment():
    """The variables of this process, but for settings of the server."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("CFIMAGES_", "CLOUDFLARE_", "DATABASE_URL"))}


def answers(url):
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=1) as answer:
        return answer.status == 200
    return False


class Run:
    """A document that is carried out: its commands in one shell, its programs in the same folder, in their order."""

    def __init__(self, folder, ports):
        self.folder, self.ports = folder, ports
        self.script = ["set -euo pipefail", 'curl() { command curl --fail-with-body "$@"; }']
        self.checks = []

    def placed(self, text):
        """A text of the document, with the addresses and paths of this run."""
        listen, emulator_listen = self.ports["127.0.0.1:8000"], self.ports["127.0.0.1:8001"]
        for theirs, ours in (
            ("https://api.cloudflare.com", f"http://{emulator_listen}"),
            ("https://images.example.com", f"http://{listen}"),
            ("/run/secrets/", f"{self.folder}/secrets/"),
            *self.ports.items(),
        ):
            text = text.replace(theirs, ours)
        return text

    def file(self, name):
        return self.folder / "blocks" / name

    def add(self, block, after):
        """Has a block carried out; `after` is what stands before it in the document."""
        if block.language == "json":
            if after is not None and after.language == "sh" and after.not_run is None and block.not_run is None:
                self.checks.append(lambda: self.expect_shape(block, after))
            return
        if block.language not in PROGRAMS or block.not_run:
            return
        self.script.append(f"echo {block.place} > blocks/current")
        getattr(self, f"add_{block.language}")(block)

    def add_sh(self, block):
        self.script.append(f"{{\n{self.placed(block.code)}\n}} > blocks/{block.line}.out 2>&1")

    def add_console(self, block):
        """Commands, with what they print, errors too and whatever the exit code; `...` stands for any text."""
        parts = re.split(r"^\$ ", self.placed(block.code), flags=re.MULTILINE)
        if parts[0].strip():
            raise Failure(f"{block.place} does not begin with a command")
        for number, part in enumerate(parts[1:]):
            command, _, expected = part.partition("\n")
            output = f"blocks/{block.line}.{number}.out"
            self.script.append(f"( unset -f curl; {command} ) > {output} 2>&1 || true")
            self.checks.append(lambda command=command, expected=expected, output=output: self.expect_output(block, command, expected, output))

    def add_python(self, block):
        self.program(block, sys.executable, "py")

    def add_js(self, block):
        self.program(block, "node", "mjs")

    def program(self, block, interpreter, extension):
        self.file(f"{block.line}.{extension}").write_text(self.placed(block.code))
        # In the folder of the document, whose modules and files it finds there.
        self.script.append(f"'{interpreter}' blocks/{block.line}.{extension} > blocks/{block.line}.out 2>&1")

    def add_rust(self, block):
        """A part of the example, which is carried out whole; doctests have all else that is Rust."""
        if block.document != "docs/api.md":
            return
        if block.code not in EXAMPLE.read_text():
            raise Failure(f"{block.place} is not what examples/upload.rs has")
        self.script.append(f"'{os.environ['UPLOAD_EXAMPLE']}' tests/fixtures/images/photo.jpg > blocks/{block.line}.out 2>&1")

    def expect_output(self, block, command, expected, output):
        got, expected = tidy((self.folder / output).read_text()), tidy(expected)
        if not re.fullmatch(re.escape(expected).replace(re.escape("..."), ".*"), got, re.DOTALL):
            raise Failure(f"{block.place}: `{command}` prints\n{got}\nand not\n{expected}")

    def expect_shape(self, block, after):
        """An answer that is shown has the keys and the types of the last one that came."""
        got = documents_in(self.file(f"{after.line}.out").read_text())
        if not got:
            raise Failure(f"{after.place} prints no JSON, as {block.place} says")
        shown = shape(json.loads(block.code))
        if shown != shape(got[-1]):
            raise Failure(f"{block.place} shows {shown}, and the answer is {shape(got[-1])}")

    def carry_out(self, environment):
        try:
            done = subprocess.run(
                ["bash", "-c", "\n".join(self.script)],
                cwd=self.folder,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
                timeout=PATIENCE,
            )
        except subprocess.TimeoutExpired as error:
            raise Failure(f"{self.current()} does not end within {PATIENCE} s") from error
        if done.returncode:
            output = self.file(f"{self.current().rpartition(':')[2]}.out")
            printed = output.read_text() if output.exists() else ""
            raise Failure(f"{self.current()} ends with exit code {done.returncode}:\n{printed}{done.stdout}{done.stderr}")
        for check in self.checks:
            check()

    def current(self):
        return self.file("current").read_text().strip()


def documents_in(text):
    """The JSON objects in a text, in their order."""
    decoder, found, position = json.JSONDecoder(), [], 0
    while (position := text.find("{", position)) >= 0:
        try:
            value, position = decoder.raw_decode(text, position)
            found.append(value)
        except json.JSONDecodeError:
            position += 1
    return found


def shape(value):
    """The keys and the types of a value."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in sorted(value.items())}
    return [shape(item) for item in value[:1]] if isinstance(value, list) else type(value).__name__


def settings(folder, ports):
    """What those who read have set: the account is the emulator's, the database that of `dev`."""
    path = {"PATH": f"{folder}/bin:{os.environ['PATH']}"}
    file = folder / "cfimages-dev" / "credentials.json"
    if not file.exists():
        return path
    credentials = json.loads(file.read_text())
    listen, emulator_listen = ports["127.0.0.1:8000"], ports["127.0.0.1:8001"]
    (folder / "secrets" / "cloudflare-images-webhook").write_text(credentials["webhook_secret"])
    return path | {
        "API": f"http://{listen}/cloudflare-images/api",
        "TOKEN": credentials["token"],
        "DATABASE_URL": "sqlite://cfimages-dev/cfimages.db",
        "CLOUDFLARE_IMAGES_ACCOUNT_ID": credentials["account_id"],
        "CLOUDFLARE_IMAGES_ACCOUNT_HASH": credentials["account_hash"],
        "CLOUDFLARE_IMAGES_API_TOKEN": credentials["api_token"],
        "CLOUDFLARE_IMAGES_BASE_URL": f"http://{emulator_listen}/client/v4",
        "CLOUDFLARE_IMAGES_SIGNING_KEY": credentials["signing_key"],
        "CLOUDFLARE_IMAGES_WEBHOOK_SECRET": credentials["webhook_secret"],
    }


def create_user(binary, folder, variables, name):
    variables = variables | {"CFIMAGES_ADMIN_PASSWORD": "correct horse battery"}
    subprocess.run([binary, "user", "create", name], cwd=folder, env=variables, check=True, capture_output=True)


def carry_out(binary, document):
    """Carries out a document in a folder of its own; returns how many blocks were."""
    blocks = blocks_of(document)
    to_run = [block for block in blocks if block.language in PROGRAMS and block.not_run is None]
    if not to_run:
        return 0
    with tempfile.TemporaryDirectory(prefix="cfimages-documents.") as name:
        folder = pathlib.Path(name)
        for part in ("bin", "blocks", "secrets"):
            (folder / part).mkdir()
        os.symlink(binary, folder / "bin" / "cfimages")
        os.symlink(PROJECT / "tests", folder / "tests")
        for pictures in ("photos", "products"):
            shutil.copytree(PROJECT / "tests" / "fixtures" / "images", folder / pictures, ignore=shutil.ignore_patterns("*-an-image*", "truncated*", "empty*"))
        with server(binary, document, folder) as ports:
            run = Run(folder, ports)
            for before, block in zip([None, *blocks], blocks):
                run.add(block, before)
            variables = environment() | settings(folder, ports)
            if "--user alice" in (PROJECT / document).read_text():
                create_user(binary, folder, variables, "alice")
            run.carry_out(variables)
    return len(to_run)


def main():
    binary, *wanted = sys.argv[1:]
    documents = wanted or ["README.md", *sorted(str(path.relative_to(PROJECT)) for path in PROJECT.glob("docs/*.md"))]
    failed = False
    for document in documents:
        if document in LEFT_OUT:
            print(f"left    {document}: {LEFT_OUT[document]}", flush=True)
            continue
        try:
            print(f"ok      {document} ({carry_out(binary, document)} blocks)", flush=True)
        except Failure as failure:
            print(f"FAILED  {document}\n{failure}", flush=True)
            failed = True
    sys.exit(failed)


if __name__ == "__main__":
    main()
