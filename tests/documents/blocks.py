"""The pieces of code in the documents, and what they print."""

import dataclasses
import pathlib
import re

PROJECT = pathlib.Path(__file__).resolve().parents[2]


@dataclasses.dataclass
class Block:
    """A piece of code in a document."""

    document: str
    line: int
    language: str
    code: str
    not_run: str | None

    @property
    def place(self):
        return f"{self.document}:{self.line}"


def blocks_of(document):
    """The pieces of code of a document, in their order."""
    blocks, start, reason = [], None, None
    for number, line in enumerate((PROJECT / document).read_text().splitlines(), 1):
        fence = re.match(r"( *)```([\w,]*)", line)
        if start is None and fence:
            start, indent, language, code = number, len(fence[1]), fence[2].partition(",")[0], []
        elif fence:
            blocks.append(Block(document, start, language, "\n".join(code), reason))
            start, reason = None, None
        elif start is not None:
            code.append(line[indent:])
        elif comment := re.match(r" *<!-- not run: (.+) -->", line):
            reason = comment[1]
        elif line.strip():
            reason = None
    return blocks


def tidy(output):
    """What is printed, without what nobody sees."""
    return "\n".join(line.rstrip() for line in output.splitlines()).strip()
