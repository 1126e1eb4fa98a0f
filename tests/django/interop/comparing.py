"""Assertions that tell what was compared, and where the two differ."""

import json


class Difference(AssertionError):
    """What a check found to be wrong."""


def differences(actual, expected, at=""):
    """Where two values of JSON differ, numbers of another form included: 1 is not 1.0, and not true."""
    if type(actual) is not type(expected):
        yield f"{at or 'value'}: {actual!r} instead of {expected!r}"
    elif isinstance(expected, dict):
        for key in expected.keys() - actual.keys():
            yield f"{at}.{key} is missing"
        for key in actual.keys() - expected.keys():
            yield f"{at}.{key} is too much: {actual[key]!r}"
        for key in expected.keys() & actual.keys():
            yield from differences(actual[key], expected[key], f"{at}.{key}")
    elif isinstance(expected, (list, tuple)):
        if len(actual) != len(expected):
            yield f"{at or 'list'}: {len(actual)} items instead of {len(expected)}: {str(actual)[:300]}"
        for index, pair in enumerate(zip(actual, expected)):
            yield from differences(*pair, f"{at}[{index}]")
    elif actual != expected:
        yield f"{at or 'value'}: {actual!r} instead of {expected!r}"


def equal(actual, expected, what):
    """Fails unless the two are the same, down to the form of numbers."""
    found = list(differences(actual, expected))
    if found:
        raise Difference("\n  ".join([f"{what}:", *found[:8], *(["..."] if len(found) > 8 else [])]))


def true(condition, what):
    """Fails with what should have been."""
    if not condition:
        raise Difference(what)


def without(value, *keys):
    """A copy of an object of JSON without some keys, however deep they are."""
    if isinstance(value, dict):
        return {key: without(item, *keys) for key, item in value.items() if key not in keys}
    if isinstance(value, list):
        return [without(item, *keys) for item in value]
    return value


def parse(text):
    """Reads JSON as Django does."""
    return json.loads(text)
