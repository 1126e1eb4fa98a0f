"""The checks, a file for each side of it."""

from . import (  # noqa: F401 (each registers its checks)
    adopting,
    written_by_cfimages,
    written_by_django,
    deleting,
    changing,
    counting,
    signing_in,
    commands,
    going_back,
)
