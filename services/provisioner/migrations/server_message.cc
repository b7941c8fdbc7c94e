#include "services/provisioner/migrations/server_message.h"

#include <charconv>

#include "common/status/view.h"

namespace leasehold::provisioner {

int LineOf(const absl::Status& status, std::string_view statement) {
  constexpr std::string_view kPosition = " at character ";
  const std::string_view text = StdView(status.message());
  const size_t at = text.rfind(kPosition);
  if (at == std::string_view::npos) return 1;
  const std::string_view digits = text.substr(at + kPosition.size());
  int position = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), position);
  int line = 1;
  int character = 1;
  for (const char c : statement) {
    const bool begins_character = (static_cast<unsigned char>(c) & 0xC0) != 0x80;
    if (begins_character && character++ >= position) break;
    if (c == '\n') ++line;
  }
  return line;
}

}  // namespace leasehold::provisioner
