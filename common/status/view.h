// Debian builds Abseil as C++14, where absl::string_view is a type of its own: it converts neither from nor to
// std::string_view, and absl::StrCat takes no std::string_view. Leasehold's interfaces speak std; text is put together
// with std::format, and these two stand where a call goes into Abseil or comes back.
#pragma once

#include <format>
#include <string_view>

#include "absl/strings/string_view.h"

namespace leasehold {

inline absl::string_view AbslView(std::string_view text) { return {text.data(), text.size()}; }
inline std::string_view StdView(absl::string_view text) { return {text.data(), text.size()}; }

}  // namespace leasehold

#ifndef ABSL_USES_STD_STRING_VIEW
template <>
struct std::formatter<absl::string_view> : std::formatter<std::string_view> {
  auto format(absl::string_view text, auto& context) const {
    return std::formatter<std::string_view>::format(leasehold::StdView(text), context);
  }
};
#endif
