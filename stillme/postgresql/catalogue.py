"""The queries of `introspection`: Django's own, with a table found by `to_regclass`.

Each gives a schema of NULL for what is on the search path, where a bare name will do.
"""

_SCHEMA = "CASE WHEN pg_catalog.pg_table_is_visible({0}.oid) THEN NULL ELSE {1}.nspname END"

TABLES = f"""
    SELECT
        {_SCHEMA.format("c", "n")},
        c.relname,
        CASE
            WHEN c.relispartition THEN 'p'
            WHEN c.relkind IN ('m', 'v') THEN 'v'
            ELSE 't'
        END,
        obj_description(c.oid, 'pg_class')
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('f', 'm', 'p', 'r', 'v')
        AND n.nspname NOT IN ('pg_catalog', 'pg_toast', 'information_schema')
        AND (NOT starts_with(n.nspname, 'pg_') OR pg_catalog.pg_table_is_visible(c.oid))
"""

COLUMNS = """
    SELECT
        a.attname,
        NOT (a.attnotnull OR (t.typtype = 'd' AND t.typnotnull)),
        pg_get_expr(ad.adbin, ad.adrelid),
        CASE WHEN co.collname = 'default' THEN NULL ELSE co.collname END,
        a.attidentity != '',
        col_description(a.attrelid, a.attnum)
    FROM pg_attribute a
    LEFT JOIN pg_attrdef ad ON a.attrelid = ad.adrelid AND a.attnum = ad.adnum
    LEFT JOIN pg_collation co ON a.attcollation = co.oid
    JOIN pg_type t ON a.atttypid = t.oid
    WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0
"""

SEQUENCES = f"""
    SELECT {_SCHEMA.format("s", "n")}, s.relname, a.attname
    FROM pg_class s
    JOIN pg_namespace n ON n.oid = s.relnamespace
    JOIN pg_depend d ON d.objid = s.oid
        AND d.classid = 'pg_class'::regclass
        AND d.refclassid = 'pg_class'::regclass
    JOIN pg_attribute a ON d.refobjid = a.attrelid AND d.refobjsubid = a.attnum
    WHERE s.relkind = 'S' AND d.refobjid = to_regclass(%s)
"""

RELATIONS = f"""
    SELECT a1.attname, {_SCHEMA.format("c2", "n2")}, c2.relname, a2.attname
    FROM pg_constraint con
    JOIN pg_class c2 ON con.confrelid = c2.oid
    JOIN pg_namespace n2 ON n2.oid = c2.relnamespace
    JOIN pg_attribute a1 ON a1.attrelid = con.conrelid AND a1.attnum = con.conkey[1]
    JOIN pg_attribute a2 ON a2.attrelid = con.confrelid AND a2.attnum = con.confkey[1]
    WHERE con.contype = 'f' AND con.conrelid = to_regclass(%s)
"""

CONSTRAINTS = f"""
    SELECT
        con.conname,
        array(
            SELECT attname
            FROM unnest(con.conkey) WITH ORDINALITY cols(colid, arridx)
            JOIN pg_attribute ca ON cols.colid = ca.attnum
            WHERE ca.attrelid = con.conrelid
            ORDER BY cols.arridx
        ),
        con.contype::text,
        {_SCHEMA.format("other", "n")},
        other.relname,
        (SELECT attname FROM pg_attribute
         WHERE attrelid = con.confrelid AND attnum = con.confkey[1]),
        cl.reloptions
    FROM pg_constraint con
    JOIN pg_class cl ON con.conrelid = cl.oid
    LEFT JOIN pg_class other ON other.oid = con.confrelid
    LEFT JOIN pg_namespace n ON n.oid = other.relnamespace
    WHERE con.conrelid = to_regclass(%s)
"""

INDEXES = """
    SELECT
        indexname,
        array_agg(attname ORDER BY arridx),
        indisunique,
        indisprimary,
        array_agg(ordering ORDER BY arridx),
        amname,
        exprdef,
        s2.attoptions
    FROM (
        SELECT
            c2.relname AS indexname, idx.*, attr.attname, am.amname,
            CASE WHEN idx.indexprs IS NOT NULL THEN pg_get_indexdef(idx.indexrelid) END AS exprdef,
            CASE am.amname
                WHEN %s THEN CASE (option & 1) WHEN 1 THEN 'DESC' ELSE 'ASC' END
            END AS ordering,
            c2.reloptions AS attoptions
        FROM (
            SELECT *
            FROM pg_index i,
                unnest(i.indkey, i.indoption) WITH ORDINALITY koi(key, option, arridx)
        ) idx
        JOIN pg_class c2 ON idx.indexrelid = c2.oid
        JOIN pg_am am ON c2.relam = am.oid
        LEFT JOIN pg_attribute attr ON attr.attrelid = idx.indrelid AND attr.attnum = idx.key
        WHERE idx.indrelid = to_regclass(%s)
    ) s2
    GROUP BY indexname, indisunique, indisprimary, amname, exprdef, attoptions
"""
