#include "services/gateway/pgwire/quote.h"

#include <algorithm>
#include <format>

#include "absl/strings/escaping.h"
#include "absl/strings/str_replace.h"
#include "common/status/view.h"

namespace leasehold::gateway::pgwire {

std::string Literal(std::string_view text) {
  const bool escapes = text.contains('\\');
  return std::format("{}'{}'", escapes ? " E" : "", absl::StrReplaceAll(AbslView(text), {{"'", "''"}, {"\\", "\\\\"}}));
}

std::string NeutralLiteral(std::string_view text) {
  const auto is_ascii = [](char c) { return static_cast<unsigned char>(c) < 0x80; };
  if (std::ranges::all_of(text, is_ascii)) return Literal(text);
  return std::format("pg_catalog.convert_from(pg_catalog.decode('{}','hex'),'UTF8')",
                     absl::BytesToHexString(AbslView(text)));
}

std::string QuotedParameter(std::string_view name) {
  return std::format("\"{}\"", absl::StrReplaceAll(AbslView(name), {{"\"", "\"\""}, {".", "\".\""}}));
}

}  // namespace leasehold::gateway::pgwire
