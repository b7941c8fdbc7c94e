#include "common/postgres/errors.h"

#include <algorithm>
#include <array>
#include <format>
#include <pqxx/pqxx>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/cord.h"
#include "common/postgres/postgres.h"
#include "common/status/view.h"

namespace leasehold::postgres {
namespace {

constexpr char kSqlStateUrl[] = "type.leasehold.dev/sqlstate";
constexpr char kConnectionFailureUrl[] = "type.leasehold.dev/connection_failure";

struct Rule {
  std::string_view prefix;
  absl::StatusCode code;
};

// The first rule whose prefix the SQLSTATE has.
constexpr auto kRules = std::to_array<Rule>({
    {"08", absl::StatusCode::kUnavailable},
    {"0A", absl::StatusCode::kUnimplemented},
    {"22", absl::StatusCode::kInvalidArgument},
    {"23505", absl::StatusCode::kAlreadyExists},
    {"23", absl::StatusCode::kFailedPrecondition},
    {"25", absl::StatusCode::kFailedPrecondition},
    {"28", absl::StatusCode::kUnauthenticated},
    {"3D000", absl::StatusCode::kNotFound},
    {"3F000", absl::StatusCode::kNotFound},
    {"40", absl::StatusCode::kAborted},
    {"42501", absl::StatusCode::kPermissionDenied},
    {"42701", absl::StatusCode::kAlreadyExists},
    {"42710", absl::StatusCode::kAlreadyExists},
    {"42723", absl::StatusCode::kAlreadyExists},
    {"42P04", absl::StatusCode::kAlreadyExists},
    {"42P06", absl::StatusCode::kAlreadyExists},
    {"42P07", absl::StatusCode::kAlreadyExists},
    {"42703", absl::StatusCode::kNotFound},
    {"42704", absl::StatusCode::kNotFound},
    {"42883", absl::StatusCode::kNotFound},
    {"42P01", absl::StatusCode::kNotFound},
    {"42", absl::StatusCode::kInvalidArgument},
    {"53", absl::StatusCode::kResourceExhausted},
    {"54", absl::StatusCode::kResourceExhausted},
    {"55P03", absl::StatusCode::kAborted},
    {"55", absl::StatusCode::kFailedPrecondition},
    {"57014", absl::StatusCode::kCancelled},
    {"57", absl::StatusCode::kUnavailable},
    {"58", absl::StatusCode::kInternal},
    {"XX", absl::StatusCode::kInternal},
});

absl::StatusCode CodeOfSqlState(std::string_view sqlstate) {
  const auto* const rule = std::ranges::find_if(kRules, [&](const Rule& r) { return sqlstate.starts_with(r.prefix); });
  return rule == kRules.end() ? absl::StatusCode::kUnknown : rule->code;
}

// The server is there but has no connection for us now.
bool RefusesForNow(std::string_view sqlstate) {
  return sqlstate.starts_with("08") || sqlstate.starts_with("57P0") || sqlstate.starts_with("53");
}

absl::Status Make(absl::StatusCode code, std::string_view sqlstate, std::string_view text, bool connection_failure) {
  std::string message(absl::StripAsciiWhitespace(AbslView(text)));
  std::ranges::replace(message, '\n', ' ');
  absl::Status status(code, sqlstate.empty() ? message : std::format("{} ({})", message, sqlstate));
  if (!sqlstate.empty()) status.SetPayload(kSqlStateUrl, absl::Cord(AbslView(sqlstate)));
  if (connection_failure) status.SetPayload(kConnectionFailureUrl, absl::Cord("1"));
  return status;
}

bool IsSqlState(std::string_view text) {
  return text.size() == 5 &&
         std::ranges::all_of(text, [](unsigned char c) { return absl::ascii_isdigit(c) || absl::ascii_isupper(c); });
}

// Of "connection to server at … failed: FATAL:  28P01: password authentication failed": 28P01. libpq gives a failed
// connection attempt no PGresult, so its text is the only source; severities are untranslated, as lc_messages is the
// server's and libpq's own texts have no such pattern.
std::string_view SqlStateInText(std::string_view text) {
  for (size_t at = text.find(":  "); at != std::string_view::npos; at = text.find(":  ", at + 1)) {
    const std::string_view rest = text.substr(at + 3);
    if (rest.size() > 5 && rest[5] == ':' && IsSqlState(rest.substr(0, 5))) return rest.substr(0, 5);
  }
  return {};
}

// libpqxx 7.10 throws insufficient_privilege without the SQLSTATE that it was chosen by.
std::string SqlStateFrom(const pqxx::sql_error& error) {
  const bool is_privilege = dynamic_cast<const pqxx::insufficient_privilege*>(&error) != nullptr;
  return is_privilege && error.sqlstate().empty() ? "42501" : error.sqlstate();
}

}  // namespace

absl::Status FromException(const std::exception& error, bool connection_open) {
  // Not every lost connection is a pqxx::broken_connection: a terminated backend says 57P01 first.
  if (const auto* sql = dynamic_cast<const pqxx::sql_error*>(&error)) {
    return FromServer(SqlStateFrom(*sql), sql->what(), connection_open);
  }
  if (dynamic_cast<const pqxx::broken_connection*>(&error) != nullptr ||
      dynamic_cast<const pqxx::in_doubt_error*>(&error) != nullptr || !connection_open) {
    return Make(absl::StatusCode::kUnavailable, "", error.what(), true);
  }
  return Make(absl::StatusCode::kInternal, "", error.what(), false);
}

absl::Status FromServer(std::string_view sqlstate, std::string_view text, bool connection_open) {
  const absl::StatusCode code = connection_open ? CodeOfSqlState(sqlstate) : absl::StatusCode::kUnavailable;
  return Make(code, sqlstate, text, !connection_open);
}

absl::Status FromConnectError(std::string_view text) {
  const std::string_view sqlstate = SqlStateInText(text);
  const bool unreachable = sqlstate.empty() || RefusesForNow(sqlstate);
  return Make(unreachable ? absl::StatusCode::kUnavailable : CodeOfSqlState(sqlstate), sqlstate, text, unreachable);
}

absl::Status ConnectionLost() {
  return Make(absl::StatusCode::kUnavailable, "", "the connection to the server was lost", true);
}

absl::Status ConnectTimedOut() {
  return Make(absl::StatusCode::kUnavailable, "", "the server did not answer in time", true);
}

std::string_view SqlStateOf(const absl::Status& status) {
  std::string_view sqlstate;
  status.ForEachPayload([&sqlstate](absl::string_view url, const absl::Cord& payload) {
    if (StdView(url) != kSqlStateUrl) return;
    if (const auto flat = payload.TryFlat()) sqlstate = StdView(*flat);
  });
  return sqlstate;
}

bool IsConnectionFailure(const absl::Status& status) { return status.GetPayload(kConnectionFailureUrl).has_value(); }

}  // namespace leasehold::postgres
