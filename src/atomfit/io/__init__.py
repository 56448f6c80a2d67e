"""Formats: maps, images, views, structures and tables, read and written.."""
