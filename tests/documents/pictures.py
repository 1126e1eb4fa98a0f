"""Makes the pictures of docs/transformations.md anew: each is made by the emulator, by the options that its text names.

usage: python3 tests/documents/pictures.py BINARY
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile
import urllib.request

from run import PROJECT, server

DOCUMENT = "docs/transformations.md"


def fetch(url, **headers):
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.read()


def upload(emulator):
    """Gives the emulator the photo, and returns where it is delivered from."""
    command = ["curl", "--silent", "--fail", "-F", f"file=@{PROJECT}/tests/fixtures/images/photo.jpg"]
    url = f"http://{emulator}/client/v4/accounts/0123456789abcdef0123456789abcdef/images/v1"
    answer = subprocess.run([*command, "-H", "Authorization: Bearer emulator-token", url], capture_output=True, check=True)
    return f"http://{emulator}/cfimages-emulator-hash/{json.loads(answer.stdout)['result']['id']}"


def main():
    text = (PROJECT / DOCUMENT).read_text()
    with tempfile.TemporaryDirectory() as folder:
        with server(sys.argv[1], "docs/emulator.md", pathlib.Path(folder)) as ports:
            photo = upload(ports["127.0.0.1:8001"])
            for options, path in re.findall(r"!\[([^\]]+)\]\((images/transform/[\w-]+\.webp)\)", text):
                file = PROJECT / "docs" / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(fetch(f"{photo}/{options},format=webp", Accept="image/webp"))
                print(f"{path}: {file.stat().st_size} bytes")


if __name__ == "__main__":
    main()
