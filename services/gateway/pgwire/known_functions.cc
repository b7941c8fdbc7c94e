#include "services/gateway/pgwire/known_functions.h"

#include <algorithm>
#include <array>

namespace leasehold::gateway::pgwire {
namespace {

// clang-format off
constexpr auto kKnown = std::to_array<std::string_view>({
    "abs", "acos", "acosd", "age", "all", "analyze", "and", "any", "any_value", "array", "array_agg", "array_append",
    "array_cat", "array_dims", "array_fill", "array_length", "array_lower", "array_ndims", "array_position",
    "array_positions", "array_prepend", "array_remove", "array_replace", "array_sample", "array_shuffle",
    "array_to_json", "array_to_string", "array_upper", "as", "ascii", "asin", "atan", "atan2", "avg", "between",
    "bigint", "bit", "bit_and", "bit_count", "bit_length", "bit_or", "bit_xor", "bool_and", "bool_or", "boolean",
    "bpchar", "btrim", "bytea", "cardinality", "case", "cast", "cbrt", "ceil", "ceiling", "char", "char_length",
    "character", "character_length", "check", "chr", "clock_timestamp", "coalesce", "col_description", "column",
    "concat", "concat_ws", "constraint", "convert", "convert_from", "convert_to", "corr", "cos", "cot", "count",
    "covar_pop", "covar_samp", "cume_dist", "current_catalog", "current_database", "current_date", "current_query",
    "current_schema", "current_schemas", "current_setting", "current_time", "current_timestamp", "current_user",
    "currval", "date", "date_add", "date_bin", "date_part", "date_subtract", "date_trunc", "decimal", "decode",
    "default", "degrees", "dense_rank", "distinct", "div", "else", "encode", "end", "enum_first", "enum_last",
    "enum_range", "erf", "every", "except", "exists", "exp", "extract", "factorial", "fetch", "first_value", "float",
    "floor", "foreign", "format", "format_type", "from", "gcd", "gen_random_uuid", "generate_series",
    "generate_subscripts", "get_bit", "get_byte", "greatest", "group", "grouping", "has_any_column_privilege",
    "has_column_privilege", "has_database_privilege", "has_function_privilege", "has_schema_privilege",
    "has_sequence_privilege", "has_table_privilege", "has_type_privilege", "hashtext", "having", "host", "ilike",
    "in", "inet_client_addr", "inet_client_port", "inet_server_addr", "inet_server_port", "initcap", "int", "integer",
    "intersect", "interval", "into", "isempty", "isfinite", "join", "json", "json_agg", "json_array",
    "json_array_elements", "json_array_elements_text", "json_array_length", "json_arrayagg", "json_build_array",
    "json_build_object", "json_each", "json_each_text", "json_exists", "json_extract_path", "json_extract_path_text",
    "json_object", "json_object_agg", "json_object_keys", "json_objectagg", "json_populate_record",
    "json_populate_recordset", "json_query", "json_scalar", "json_serialize", "json_strip_nulls", "json_table",
    "json_to_record", "json_to_recordset", "json_typeof", "json_value", "jsonb", "jsonb_agg", "jsonb_array_elements",
    "jsonb_array_elements_text", "jsonb_array_length", "jsonb_build_array", "jsonb_build_object", "jsonb_each",
    "jsonb_each_text", "jsonb_extract_path", "jsonb_extract_path_text", "jsonb_insert", "jsonb_object",
    "jsonb_object_agg", "jsonb_object_keys", "jsonb_path_exists", "jsonb_path_match", "jsonb_path_query",
    "jsonb_path_query_array", "jsonb_path_query_first", "jsonb_populate_record", "jsonb_populate_recordset",
    "jsonb_pretty", "jsonb_set", "jsonb_set_lax", "jsonb_strip_nulls", "jsonb_to_record", "jsonb_to_recordset",
    "jsonb_typeof", "justify_days", "justify_hours", "justify_interval", "lag", "last_value", "lastval", "lateral",
    "lcm", "lead", "least", "left", "length", "like", "limit", "ln", "localtime", "localtimestamp", "log", "log10",
    "lower", "lower_inc", "lower_inf", "lpad", "ltrim", "make_date", "make_interval", "make_time", "make_timestamp",
    "make_timestamptz", "masklen", "max", "md5", "min", "min_scale", "mod", "mode", "multirange", "netmask",
    "network", "nextval", "normalize", "not", "now", "nth_value", "ntile", "nullif", "num_nonnulls", "num_nulls",
    "numeric", "numnode", "obj_description", "octet_length", "offset", "on", "only", "or", "order", "overlay",
    "percent_rank", "percentile_cont", "percentile_disc", "pg_backend_pid", "pg_blocking_pids", "pg_cancel_backend",
    "pg_client_encoding", "pg_column_size", "pg_conf_load_time", "pg_current_xact_id",
    "pg_current_xact_id_if_assigned", "pg_database_size", "pg_describe_object", "pg_encoding_to_char",
    "pg_function_is_visible", "pg_get_constraintdef", "pg_get_expr", "pg_get_function_arguments",
    "pg_get_function_identity_arguments", "pg_get_function_result", "pg_get_functiondef", "pg_get_indexdef",
    "pg_get_keywords", "pg_get_partkeydef", "pg_get_ruledef", "pg_get_serial_sequence", "pg_get_statisticsobjdef",
    "pg_get_triggerdef", "pg_get_userbyid", "pg_get_viewdef", "pg_has_role", "pg_index_column_has_property",
    "pg_indexes_size", "pg_is_in_recovery", "pg_is_other_temp_schema", "pg_my_temp_schema", "pg_notify",
    "pg_postmaster_start_time", "pg_relation_filenode", "pg_relation_size", "pg_size_bytes", "pg_size_pretty",
    "pg_sleep", "pg_sleep_for", "pg_sleep_until", "pg_table_is_visible", "pg_table_size", "pg_tablespace_size",
    "pg_terminate_backend", "pg_total_relation_size", "pg_type_is_visible", "pg_typeof", "phraseto_tsquery", "pi",
    "plainto_tsquery", "position", "power", "precision", "primary", "quote_ident", "quote_literal", "quote_nullable",
    "radians", "random", "random_normal", "rank", "real", "references", "regexp_count", "regexp_instr", "regexp_like",
    "regexp_match", "regexp_matches", "regexp_replace", "regexp_split_to_array", "regexp_split_to_table",
    "regexp_substr", "regr_avgx", "regr_avgy", "regr_count", "regr_intercept", "regr_r2", "regr_slope", "repeat",
    "replace", "returning", "reverse", "right", "round", "row", "row_number", "row_to_json", "rpad", "rtrim", "scale",
    "select", "session_user", "set_bit", "set_byte", "set_masklen", "setval", "setweight", "sha224", "sha256",
    "sha384", "sha512", "shobj_description", "sign", "sin", "smallint", "some", "split_part", "sqrt", "starts_with",
    "statement_timestamp", "stddev", "stddev_pop", "stddev_samp", "string_agg", "string_to_array", "string_to_table",
    "strip", "strpos", "substr", "substring", "sum", "table", "tan", "text", "then", "time", "timeofday", "timestamp",
    "timestamptz", "timetz", "timezone", "to", "to_ascii", "to_char", "to_date", "to_hex", "to_json", "to_jsonb",
    "to_number", "to_regclass", "to_regproc", "to_regrole", "to_regtype", "to_timestamp", "to_tsquery", "to_tsvector",
    "transaction_timestamp", "translate", "treat", "trim", "trim_array", "trim_scale", "trunc", "ts_debug",
    "ts_headline", "ts_rank", "ts_rank_cd", "ts_rewrite", "tsvector_to_array", "txid_current", "unaccent", "union",
    "unique", "unnest", "upper", "upper_inc", "upper_inf", "user", "using", "uuid", "uuid_generate_v1mc",
    "uuid_generate_v4", "values", "var_pop", "var_samp", "varbit", "varchar", "variance", "version",
    "websearch_to_tsquery", "when", "where", "width_bucket", "window", "with", "xmlagg", "xmlelement", "xmlforest",
});
// clang-format on
static_assert(std::ranges::is_sorted(kKnown));

}  // namespace

bool IsKnownFunction(std::string_view name) { return std::ranges::binary_search(kKnown, name); }

}  // namespace leasehold::gateway::pgwire
