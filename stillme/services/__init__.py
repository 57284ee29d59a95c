"""What the services of every domain are made of; the application runs on it for good.

A service keeps the behaviour of the old application's class. Its parts, in the order in which a
call meets them:

- `failures`: an error is logged and a fallback is the answer, where the old class did so;
- `coroutines` and `connections`: the call works in `async def`, and returns what it borrowed;
- `arguments` and `json_text`: ids, limits, texts, numbers and documents as SQLite took them;
- `times`: instants to the texts that the old callers expect, and back;
- `prepared_select` and `prepared_insert`: statements that PostgreSQL compiles once;
- `updates`: a row that is not there takes any value, as it did in SQLite.

`model_parts` holds what the models share. Nothing here knows the migration: the package works
after `stillme.transfer` has been removed.
"""
