"""The SQL that reverse capture leaves in PostgreSQL: one function and four triggers a table.

Each function's body begins with its mark (`own_sql`).
"""

from __future__ import annotations

from stillme.transfer.conf import conf
from stillme.transfer.plumbing.own_sql import ORIGIN, OWN, literal, marked
from stillme.transfer.postgresql.capture.tables import TargetTable

VERSION = 1
FREEZE_FUNCTION = "transfer.refuse_write"
FREEZE_TRIGGER = f"{OWN}_freeze"
PREFIX = f"{OWN}_capture_"


# Security definer: whoever may write the table need not know the schema transfer.
_CAPTURE_BODY = """{mark}
BEGIN
    IF current_setting('{origin}', true) = 'replay' THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'INSERT' THEN
        INSERT INTO transfer.reverse_change (relation, key)
        SELECT {name}, {key} FROM new_rows;
    ELSIF TG_OP = 'UPDATE' THEN
        INSERT INTO transfer.reverse_change (relation, key)
        SELECT {name}, {key} FROM new_rows
        UNION SELECT {name}, {key} FROM old_rows;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO transfer.reverse_change (relation, key)
        SELECT {name}, {key} FROM old_rows;
    ELSE
        INSERT INTO transfer.reverse_change (relation, key) VALUES ({name}, NULL);
    END IF;
    RETURN NULL;
END
"""
_FREEZE_BODY = """{mark}
BEGIN
    IF current_setting('{origin}', true) = 'replay' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION USING ERRCODE = '25006', MESSAGE =
        '{application} is being moved back to its SQLite files and this table takes no more writes: '
        'see manage.py migration_status';
END
"""  # noqa: E501 - the text is what databases hold
_FUNCTION = (
    "CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql "
    "SECURITY DEFINER SET search_path = pg_catalog AS $transfer${body}$transfer$"
)
EVENTS = {
    "insert": "AFTER INSERT ON {relation} REFERENCING NEW TABLE AS new_rows",
    "update": "AFTER UPDATE ON {relation} REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows",
    "delete": "AFTER DELETE ON {relation} REFERENCING OLD TABLE AS old_rows",
    "truncate": "AFTER TRUNCATE ON {relation}",
}


def capture_body(table: TargetTable) -> str:
    """The body of a table's capture function."""
    name = literal(table.name)
    body = _CAPTURE_BODY.format(mark="{mark}", origin=ORIGIN, name=name, key=table.key)
    return marked("capture", VERSION, body)


def freeze_body() -> str:
    """The body of the function that refuses writes."""
    application = conf().subject.replace("'", "''")
    body = _FREEZE_BODY.format(mark="{mark}", origin=ORIGIN, application=application)
    return marked("freeze", VERSION, body)


def create_function(function: str, body: str) -> str:
    """The statement that makes or replaces a function (its qualified, quoted name)."""
    return _FUNCTION.format(function=function, body=body)


def capture_triggers(table: TargetTable) -> dict[str, str]:
    """Trigger name -> statement."""
    return {
        # OR REPLACE takes a lock that readers do not hold up; dropping a trigger waits for them.
        f"{PREFIX}{event}": f"CREATE OR REPLACE TRIGGER {PREFIX}{event} "
        f"{clause.format(relation=table.relation)} FOR EACH STATEMENT "
        f'EXECUTE FUNCTION transfer."{table.function}"()'
        for event, clause in EVENTS.items()
    }
