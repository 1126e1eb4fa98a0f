"""Checks that cfimages and Django find each other's rows their own, on one database."""
