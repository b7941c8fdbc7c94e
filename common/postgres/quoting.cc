#include <format>

#include "common/postgres/dsn.h"
#include "common/postgres/postgres.h"

namespace leasehold::postgres {
namespace {

std::string Doubled(std::string_view text, std::string_view doubled) {
  std::string out;
  out.reserve(text.size() + 2);
  for (const char c : text) {
    if (doubled.contains(c)) out.push_back(c);
    out.push_back(c);
  }
  return out;
}

// A value of a libpq connection string: '…' where ' and \ are escaped by \.
std::string QuoteDsnValue(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
  out.push_back('\'');
  return out;
}

}  // namespace

std::string QuoteIdentifier(std::string_view name) { return std::format("\"{}\"", Doubled(name, "\"")); }

std::string QuoteLiteral(std::string_view text) {
  // The E form means the same whatever standard_conforming_strings is.
  if (text.contains('\\')) return std::format("E'{}'", Doubled(text, "'\\"));
  return std::format("'{}'", Doubled(text, "'"));
}

std::string Dsn(std::string_view host, int port, std::string_view database, std::string_view user,
                std::string_view sslmode) {
  return Dsn(host, port, database, user, Encryption{.sslmode = sslmode});
}

std::string Dsn(std::string_view host, int port, std::string_view database, std::string_view user,
                const Encryption& encryption) {
  std::string dsn = std::format("host={} port={} dbname={} user={} sslmode={}", QuoteDsnValue(host), port,
                                QuoteDsnValue(database), QuoteDsnValue(user), QuoteDsnValue(encryption.sslmode));
  if (!encryption.sslrootcert.empty()) dsn += std::format(" sslrootcert={}", QuoteDsnValue(encryption.sslrootcert));
  if (!encryption.channel_binding.empty()) {
    dsn += std::format(" channel_binding={}", QuoteDsnValue(encryption.channel_binding));
  }
  return dsn;
}

}  // namespace leasehold::postgres
