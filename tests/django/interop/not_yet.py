"""What a binary may lack. Nothing is left out silently: the checks that need it are counted as not checked."""

from .site import Site

SETTINGS = ["CFIMAGES_DJANGO_SECRET_KEY", "CFIMAGES_HOST_DELETE_TABLES", "CFIMAGES_USAGE_SOURCES"]
COMMANDS = ["cleanup-expired", "reconcile-usage"]
UNKNOWN = "images/00000000-0000-4000-8000-000000000000/"
# What is asked of each, and how it is answered where it is there.
ENDPOINTS = {
    "filters": ("GET", "images/?metadata__gt=1", 400),
    "PATCH images": ("PATCH", UNKNOWN, 404),
    "DELETE images": ("DELETE", UNKNOWN, 404),
    "by-cloudflare-id": ("GET", "images/by-cloudflare-id/img-0010/", 200),
    "orphans": ("GET", "images/orphans/", 200),
    "image usages": ("GET", UNKNOWN + "usages/", 404),
    "usages": ("GET", "usages/", 200),
    "bulk_delete": ("POST", "images/bulk_delete/", 400),
    "bulk_status_check": ("POST", "images/bulk_status_check/", 400),
    "cleanup-expired": ("POST", "cleanup-expired/", 403),
    "PUT usages": ("PUT", "usages/", 400),
    "register": ("POST", "images/register/", 400),
    "PATCH remote": ("PATCH", UNKNOWN + "remote/", 404),
    "OPTIONS": ("OPTIONS", "images/", 200),
}


def missing(site: Site):
    """The names of what this binary lacks."""
    settings, commands = site.cfimages("config", "show"), site.cfimages("help")
    lacks = {name for name in SETTINGS if name not in settings}
    lacks |= {f"`{name}`" for name in COMMANDS if f" {name} " not in commands}
    if " check-password " not in site.cfimages("user", "--help"):
        lacks.add("`user check-password`")
    site.serve()
    api = site.api("alice")
    return lacks | {
        name for name, (method, path, status) in ENDPOINTS.items() if not _is(api.request(method, path), status)
    }


def _is(answer, status):
    return answer.status == status and "json" in answer.headers.get("content-type", "")
