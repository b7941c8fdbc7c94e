// SQL text of the gateway's own. Whatever is called in it is qualified: it runs under the search_path of whoever has
// the server, or had it before.
#pragma once

#include <algorithm>
#include <format>
#include <string>
#include <string_view>

#include "absl/strings/escaping.h"
#include "absl/strings/str_replace.h"
#include "common/status/view.h"

namespace leasehold::gateway {

inline std::string Literal(std::string_view text) {
  const bool escapes = text.contains('\\');
  return std::format("{}'{}'", escapes ? " E" : "", absl::StrReplaceAll(AbslView(text), {{"'", "''"}, {"\\", "\\\\"}}));
}

// The same in ASCII alone, so that it means the same under any client_encoding; `text` is UTF-8.
inline std::string NeutralLiteral(std::string_view text) {
  const auto is_ascii = [](char c) { return static_cast<unsigned char>(c) < 0x80; };
  if (std::ranges::all_of(text, is_ascii)) return Literal(text);
  return std::format("pg_catalog.convert_from(pg_catalog.decode('{}','hex'),'UTF8')",
                     absl::BytesToHexString(AbslView(text)));
}

}  // namespace leasehold::gateway
