-- name: confine
SELECT pg_catalog.set_config(
    'search_path',
    pg_catalog.regexp_replace(
        pg_catalog.concat('pg_catalog, ', pg_catalog.current_setting('search_path')), ',\s*$', ''
    ),
    true
)

-- name: meanings
WITH foreign_casts AS (
    SELECT c.castsource, c.casttarget
    FROM pg_catalog.pg_cast c JOIN pg_catalog.pg_proc p ON p.oid = c.castfunc
    WHERE p.pronamespace <> 'pg_catalog'::regnamespace AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_depend d
        WHERE d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
    )
),
cast_types AS (
    SELECT t.oid
    FROM pg_catalog.pg_type t
    WHERE t.typnamespace <> 'pg_catalog'::regnamespace
        AND t.oid IN (SELECT castsource FROM foreign_casts UNION SELECT casttarget FROM foreign_casts)
),
named_relations AS (
    SELECT n.relation AS name, c.oid, c.relnamespace, c.reltype
    FROM unnest($8::text[], $9::text[]) AS n (schema, relation)
    JOIN pg_catalog.pg_class c ON c.oid = to_regclass(
        CASE WHEN n.schema = '' THEN quote_ident(n.relation) ELSE format('%I.%I', n.schema, n.relation) END
    )::oid
),
named_types AS (
    SELECT n.type AS name, t.oid, t.typname, t.typtype, t.typnamespace
    FROM unnest($3::text[], $4::text[]) AS n (schema, type)
    JOIN pg_catalog.pg_type t ON t.oid = to_regtype(
        CASE WHEN n.schema = '' THEN quote_ident(n.type) ELSE format('%I.%I', n.schema, n.type) END
    )::oid
)
SELECT 'function' AS kind, p.proname::text AS name
FROM pg_catalog.pg_proc p
WHERE p.proname = ANY ($1::text[]::name[])
    AND p.pronamespace <> 'pg_catalog'::regnamespace
    AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_depend d
        WHERE d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
    )
    AND pg_function_is_visible(p.oid)
UNION ALL
SELECT 'function', n.name
FROM unnest($1::text[]) AS n (name)
JOIN pg_catalog.pg_type t ON t.oid = to_regtype(quote_ident(n.name))::oid
WHERE t.typtype::text IN ('d', 'r', 'm')
    AND t.typnamespace <> 'pg_catalog'::regnamespace
    AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_depend d
        WHERE d.classid = 'pg_catalog.pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e'
    )
UNION ALL
SELECT 'operator', o.oprname::text
FROM pg_catalog.pg_operator o
WHERE o.oprname = ANY ($2::text[]::name[])
    AND o.oprnamespace <> 'pg_catalog'::regnamespace
    AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_depend d
        WHERE d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = o.oprcode::oid AND d.deptype = 'e'
    )
    AND pg_operator_is_visible(o.oid)
UNION ALL
SELECT 'type', t.name
FROM named_types t
WHERE CASE
    WHEN t.typnamespace = 'pg_catalog'::regnamespace THEN t.typname::text <> ALL ($5::text[])
    ELSE t.typtype::text <> 'e' AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_depend d
        WHERE d.classid = 'pg_catalog.pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e'
    )
END
UNION ALL
SELECT 'function', p.proname::text
FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_type t ON t.oid = p.proargtypes[0]
WHERE p.proname = ANY ($6::text[]::name[])
    AND pg_function_is_visible(p.oid)
    AND t.typtype::text IN ('c', 'p', 'd')
    AND NOT (p.pronamespace = 'pg_catalog'::regnamespace AND p.proname::text = ANY ($10::text[]))
UNION ALL
SELECT 'function', p.proname::text
FROM pg_catalog.pg_proc p
WHERE p.proname = ANY ($7::text[]::name[])
    AND pg_function_is_visible(p.oid)
    AND NOT (p.pronamespace = 'pg_catalog'::regnamespace AND p.proname::text = ANY ($10::text[]))
UNION ALL
SELECT 'relation', r.name
FROM named_relations r
WHERE r.relnamespace = 'pg_catalog'::regnamespace
UNION ALL
SELECT 'cast', r.name
FROM named_relations r
WHERE EXISTS (SELECT FROM cast_types)
    AND (
        r.reltype IN (SELECT oid FROM cast_types)
        OR EXISTS (
            SELECT FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
            WHERE a.attrelid = r.oid
                AND (
                    t.typtype::text IN ('c', 'd')
                    OR t.oid IN (SELECT oid FROM cast_types)
                    OR t.typelem IN (SELECT oid FROM cast_types)
                )
        )
    )
UNION ALL
SELECT 'cast', t.name FROM named_types t WHERE t.oid IN (SELECT oid FROM cast_types)
LIMIT 1

-- name: tables
SELECT
    n.nspname::text AS schema,
    c.relname::text AS name,
    CASE c.relkind::text
        WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized_view' WHEN 'f' THEN 'foreign_table' ELSE 'table'
    END AS kind,
    obj_description(c.oid, 'pg_class') AS comment,
    c.oid AS oid
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind::text IN ('r', 'p', 'v', 'm', 'f')
    AND n.nspname::text NOT LIKE 'pg\_%'
    AND n.nspname::text <> 'information_schema'
    AND NOT c.relispartition
    AND has_schema_privilege(n.oid, 'USAGE')
    AND has_any_column_privilege(c.oid, 'SELECT')
    AND ($1::text IS NULL OR n.nspname::text = $1::text)
    AND ($2::text IS NULL OR c.relname::text = $2::text)
ORDER BY NOT pg_table_is_visible(c.oid), n.nspname::text, c.relname::text
LIMIT $3

-- name: columns
SELECT
    a.attrelid AS oid,
    a.attname::text AS name,
    format_type(a.atttypid, a.atttypmod) AS type,
    NOT a.attnotnull AS nullable,
    CASE WHEN a.attgenerated::text = '' THEN pg_get_expr(d.adbin, d.adrelid) END AS default,
    col_description(a.attrelid, a.attnum) AS comment
FROM pg_catalog.pg_attribute a
LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = ANY ($1::oid[])
    AND a.attnum > 0
    AND NOT a.attisdropped
    AND has_column_privilege(a.attrelid, a.attnum, 'SELECT')
ORDER BY a.attrelid, a.attnum
LIMIT $2

-- name: keys
SELECT
    k.conrelid AS oid,
    k.contype::text AS type,
    ARRAY (
        SELECT a.attname::text
        FROM unnest(k.conkey) WITH ORDINALITY AS c (number, place)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = c.number
        ORDER BY c.place
    ) AS columns,
    CASE WHEN r.oid IS NOT NULL THEN format('%I.%I', n.nspname, r.relname) END AS referenced,
    ARRAY (
        SELECT a.attname::text
        FROM unnest(k.confkey) WITH ORDINALITY AS c (number, place)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = c.number
        ORDER BY c.place
    ) AS referenced_columns
FROM pg_catalog.pg_constraint k
LEFT JOIN pg_catalog.pg_class r ON r.oid = k.confrelid
LEFT JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace
WHERE k.conrelid = ANY ($1::oid[])
    AND (
        k.contype::text = 'p'
        OR (
            k.contype::text = 'f'
            AND has_schema_privilege(n.oid, 'USAGE')
            AND has_any_column_privilege(r.oid, 'SELECT')
        )
    )
ORDER BY k.conrelid, k.conname
LIMIT $2
