"""Databases that the checks get copies of."""

from django.db import connections

from . import seeds
from .site import migrate, use


def make(engine, name):
    """Makes the database of a template."""
    database = engine.create()
    use(engine.settings(database))
    MAKERS[name]()
    connections.close_all()
    return database


def _seed():
    migrate()
    seeds.add_users()
    seeds.add_images()
    seeds.add_usages()


def _seed_early():
    """The site before its latest migrations: its own tables are empty, as its models do not fit them."""
    migrate("gallery", "0001")
    for app in ("auth", "authtoken", "contenttypes", "sessions"):
        migrate(app)
    seeds.add_users()
    seeds.add_images()


MAKERS = {"empty": lambda: None, "seeded": _seed, "early": _seed_early}
