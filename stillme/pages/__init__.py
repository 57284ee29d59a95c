"""The admin's pages of large tables: lists by key, long cells cut and folded, exports.

Works without the migration engine. The engine adds its own part of a row's page, the legacy row as
stored, through `panels`.
"""
