"""Changes the rows and the table of the images themselves, as a later release of the toolkit might."""

from django.db import migrations, models

IMAGE = ("django_cloudflareimages_toolkit", "CloudflareImage")


def mark_creators(apps, schema_editor):
    images = apps.get_model(*IMAGE).objects.using(schema_editor.connection.alias)
    images.filter(creator="", status="uploaded").update(creator="migrated", require_signed_urls=False)


def delete_failed(apps, schema_editor):
    apps.get_model(*IMAGE).objects.using(schema_editor.connection.alias).filter(status="failed").delete()


def widen_format(apps, schema_editor):
    alter_format(apps, schema_editor, 10, 20)


def narrow_format(apps, schema_editor):
    alter_format(apps, schema_editor, 20, 10)


def alter_format(apps, schema_editor, old_length, new_length):
    model = apps.get_model(*IMAGE)
    old, new = (models.CharField(blank=True, max_length=length) for length in (old_length, new_length))
    for field in (old, new):
        field.set_attributes_from_name("format")
        field.model = model
    schema_editor.alter_field(model, old, new)


class Migration(migrations.Migration):
    dependencies = [("gallery", "0002_later"), ("django_cloudflareimages_toolkit", "0008_wrap_string_variants")]

    operations = [
        migrations.RunPython(mark_creators, migrations.RunPython.noop),
        # There and back again, so that the table is the toolkit's when all is done.
        migrations.RunPython(widen_format, migrations.RunPython.noop),
        migrations.RunPython(narrow_format, migrations.RunPython.noop),
        # Last: a table whose rows others refer to cannot be altered after rows were deleted, with or without cfimages.
        migrations.RunPython(delete_failed, migrations.RunPython.noop),
    ]
