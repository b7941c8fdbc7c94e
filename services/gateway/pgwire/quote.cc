#include "services/gateway/pgwire/quote.h"

#include <format>

#include "absl/strings/str_replace.h"
#include "common/status/view.h"

namespace leasehold::gateway::pgwire {

std::string Literal(std::string_view text) {
  const bool escapes = text.contains('\\');
  return std::format("{}'{}'", escapes ? " E" : "", absl::StrReplaceAll(AbslView(text), {{"'", "''"}, {"\\", "\\\\"}}));
}

std::string QuotedParameter(std::string_view name) {
  return std::format("\"{}\"", absl::StrReplaceAll(AbslView(name), {{"\"", "\"\""}, {".", "\".\""}}));
}

}  // namespace leasehold::gateway::pgwire
