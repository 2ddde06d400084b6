-- name: modules
PRAGMA module_list

-- name: connect_table_functions
SELECT 1 FROM json_each('[]')
UNION ALL
SELECT 1 FROM json_tree('[]')

-- name: virtual_tables
SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE VIRTUAL TABLE%'

-- name: connect_virtual_table
SELECT count(*) FROM pragma_table_xinfo(?)

-- name: tables
SELECT 'main' AS schema, name, CASE type WHEN 'view' THEN 'view' ELSE 'table' END AS kind
FROM sqlite_master
WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\_%' ESCAPE '\' AND (:table IS NULL OR name = :table)
ORDER BY name
LIMIT :count

-- name: columns
SELECT name, type, "notnull" = 0 AND pk = 0 AS nullable, dflt_value AS "default", pk
FROM pragma_table_xinfo(:table)
WHERE hidden <> 1
ORDER BY cid
LIMIT :count

-- name: foreign_keys
SELECT id, "table" AS referenced, "from" AS own, "to" AS referenced_column
FROM pragma_foreign_key_list(:table)
ORDER BY id, seq
LIMIT :count
