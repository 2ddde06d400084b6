"""What a PostgreSQL statement may be made of. What is not named here is refused.

Left out although they only read: what reads files, other sessions, settings or large objects; what runs SQL from text
(`query_to_xml`, `ts_stat`, `ts_rewrite(…, text)`, `dblink`); what fills a row type whose domains could have checks
(`json_populate_record`); what takes a lock or an id; and XML, which PostgreSQL may be built without.
"""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


NODES = _names("""
    SelectStmt ExplainStmt VariableShowStmt DefElem ResTarget ColumnRef A_Star A_Const A_Expr A_Indirection
    A_Indices A_ArrayExpr BoolExpr NullTest BooleanTest CaseExpr CaseWhen CoalesceExpr MinMaxExpr
    SQLValueFunction TypeCast TypeName CollateClause RowExpr SubLink FuncCall NamedArgExpr ParamRef List String
    Integer Float Boolean SortBy WindowDef GroupingSet GroupingFunc JoinExpr RangeVar RangeSubselect
    RangeFunction RangeTableSample ColumnDef CommonTableExpr WithClause Alias
""")

# Fields of those nodes. Not among them: intoClause (SELECT INTO), lockingClause (FOR UPDATE), catalogname, pct_type,
# setof, search_clause and cycle_clause.
FIELDS = _names("""
    stmt stmt_len stmt_location location query options defname defnamespace arg args defaction name targetList
    distinctClause fromClause whereClause groupClause groupDistinct havingClause windowClause valuesLists
    sortClause limitOffset limitCount limitOption op all larg rarg withClause ctes recursive ctename
    aliascolnames ctematerialized ctequery val fields indirection sval ival fval boolval bsval isnull kind lexpr
    rexpr rexpr_list_start rexpr_list_end is_slice lidx uidx elements list_start list_end boolop nulltesttype
    argisrow booltesttype expr result defresult subLinkType testexpr operName subselect typeName names typmods
    typemod typmod arrayBounds collname collClause row_format colnames number argnumber funcname agg_order
    agg_filter over agg_within_group agg_star agg_distinct func_variadic funcformat refname partitionClause
    orderClause frameOptions startOffset endOffset node sortby_dir sortby_nulls useOp content refs jointype
    isNatural usingClause join_using_alias quals alias rtindex schemaname relname inh relpersistence aliasname
    lateral subquery ordinality is_rowsfrom functions coldeflist relation method repeatable colname is_local
    items
""")

EXPLAIN_OPTIONS = _names("verbose costs settings generic_plan summary format")

SETTINGS = _names("""
    client_encoding datestyle default_transaction_read_only integer_datetimes intervalstyle lc_messages
    lc_monetary lc_numeric lc_time max_identifier_length search_path server_encoding server_version
    server_version_num standard_conforming_strings statement_timeout timezone transaction_isolation
    transaction_read_only
""")

SAMPLING = _names("bernoulli system")

# In pg_catalog. Other types must be enumerations or belong to an extension, which only the catalogue can tell.
TYPES = _names("""
    bool int2 int4 int8 float4 float8 numeric money oid text varchar bpchar char name citext uuid json jsonb
    jsonpath bytea date time timetz timestamp timestamptz interval bit varbit inet cidr macaddr macaddr8 point
    line lseg box path polygon circle tsvector tsquery regclass regtype regconfig regnamespace int4range
    int8range numrange daterange tsrange tstzrange int4multirange int8multirange nummultirange datemultirange
    tsmultirange tstzmultirange record
""")

_MATHEMATICS = """
    abs acos acosd acosh asin asind asinh atan atan2 atan2d atand atanh cbrt ceil ceiling cos cosd cosh cot cotd
    degrees div erf erfc exp factorial floor gcd lcm ln log log10 min_scale mod pi power pow radians random
    random_normal round scale sign sin sind sinh sqrt tan tand tanh trim_scale trunc width_bucket
"""
_TEXT = """
    ascii bit_length btrim casefold char_length character_length chr concat concat_ws format initcap left length
    like_escape lower lpad ltrim normalize is_normalized octet_length overlay parse_ident position quote_ident
    quote_literal quote_nullable regexp_count regexp_instr regexp_like regexp_match regexp_matches
    regexp_replace regexp_split_to_array regexp_split_to_table regexp_substr repeat replace reverse right rpad
    rtrim similar_to_escape split_part starts_with string_to_array string_to_table strpos substr substring
    to_bin to_hex to_oct translate unistr upper
"""
_BYTES = """
    bit_count convert_from convert_to crc32 crc32c decode encode get_bit get_byte md5 set_bit set_byte sha224
    sha256 sha384 sha512
"""
_TIME = """
    age clock_timestamp date date_add date_bin date_part date_subtract date_trunc extract isfinite justify_days
    justify_hours justify_interval make_date make_interval make_time make_timestamp make_timestamptz now
    overlaps statement_timestamp timeofday timezone to_char to_date to_number to_timestamp transaction_timestamp
"""
_JSON = """
    json_agg json_agg_strict json_array_elements json_array_elements_text json_array_length json_build_array
    json_build_object json_each json_each_text json_extract_path json_extract_path_text json_object
    json_object_agg json_object_agg_strict json_object_agg_unique json_object_agg_unique_strict json_object_keys
    json_strip_nulls json_to_record json_to_recordset json_typeof row_to_json to_json array_to_json jsonb_agg
    jsonb_agg_strict jsonb_array_elements jsonb_array_elements_text jsonb_array_length jsonb_build_array
    jsonb_build_object jsonb_each jsonb_each_text jsonb_extract_path jsonb_extract_path_text jsonb_insert
    jsonb_object jsonb_object_agg jsonb_object_agg_strict jsonb_object_agg_unique jsonb_object_agg_unique_strict
    jsonb_object_keys jsonb_path_exists jsonb_path_exists_tz jsonb_path_match jsonb_path_match_tz
    jsonb_path_query jsonb_path_query_array jsonb_path_query_array_tz jsonb_path_query_first
    jsonb_path_query_first_tz jsonb_path_query_tz jsonb_pretty jsonb_set jsonb_set_lax jsonb_strip_nulls
    jsonb_to_record jsonb_to_recordset jsonb_typeof to_jsonb
"""
_ARRAYS = """
    array_agg array_append array_cat array_dims array_length array_lower array_ndims array_position
    array_positions array_prepend array_remove array_replace array_reverse array_sample array_shuffle array_sort
    array_to_string array_upper cardinality generate_series generate_subscripts trim_array unnest
"""
_AGGREGATES = """
    any_value avg bit_and bit_or bit_xor bool_and bool_or corr count covar_pop covar_samp cume_dist dense_rank
    every first_value lag last_value lead max min mode nth_value ntile percent_rank percentile_cont
    percentile_disc range_agg range_intersect_agg rank regr_avgx regr_avgy regr_count regr_intercept regr_r2
    regr_slope regr_sxx regr_sxy regr_syy row_number stddev stddev_pop stddev_samp string_agg sum var_pop
    var_samp variance
"""
_RANGES = """
    daterange int4range int8range isempty lower_inc lower_inf multirange numrange range_merge tsrange tstzrange
    upper_inc upper_inf datemultirange int4multirange int8multirange nummultirange tsmultirange tstzmultirange
"""
_TEXT_SEARCH = """
    numnode phraseto_tsquery plainto_tsquery querytree setweight strip to_tsquery to_tsvector ts_delete
    ts_filter ts_headline ts_rank ts_rank_cd tsquery_phrase tsvector_to_array websearch_to_tsquery
"""
_NETWORK_AND_SHAPES = """
    abbrev area broadcast center diagonal diameter family height host hostmask inet_merge inet_same_family
    isclosed isopen masklen netmask network npoints point radius set_masklen slope text width
"""
_OTHERS = """
    current_database current_schema enum_first enum_last enum_range gen_random_uuid num_nonnulls num_nulls
    pg_column_size pg_size_pretty pg_typeof uuid_extract_timestamp uuid_extract_version uuidv4 uuidv7 version
"""

# As functions these are casts. They are also how people name the fields of rows: `(address).name` asks for them.
_CASTS = """
    bool box bpchar circle float4 float8 int2 int4 int8 interval line lseg name numeric path polygon time timestamp
    timestamptz varchar
"""

FUNCTIONS = _names(
    _MATHEMATICS
    + _TEXT
    + _BYTES
    + _TIME
    + _JSON
    + _ARRAYS
    + _AGGREGATES
    + _RANGES
    + _TEXT_SEARCH
    + _NETWORK_AND_SHAPES
    + _OTHERS
    + _CASTS
)

REPEATING = {"lpad": 1, "repeat": 1, "rpad": 1}
"""Functions that make long text of short, and which of their arguments says how long: it must be a small constant."""
