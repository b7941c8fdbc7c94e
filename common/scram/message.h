// The grammar of SCRAM messages: attributes, one letter and a value each, joined by commas (RFC 5802 section 7).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace leasehold::scram {

// Reads one message from the left. Views into the text it was given.
class AttributeReader {
 public:
  explicit AttributeReader(std::string_view message) : rest_(message) {}

  // The value of the next attribute if its letter is `name` ("r" in "r=fyko,s=QSXC"), else nullopt and nothing is read.
  std::optional<std::string_view> Take(char name);

  // Skips optional extensions up to the end or up to an attribute with letter `until`. False on anything that is not
  // "<letter>=<value>", and on "m=": an extension that must be understood.
  bool SkipExtensions(char until = '\0');

  bool AtEnd() const { return at_end_; }

  // From the next attribute on.
  std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
  bool at_end_ = false;
};

// 1 or more printable ASCII characters without comma.
bool IsNonce(std::string_view text);

// A saslname: no comma or NUL, each `=` the start of "=2C" or "=3D". May be empty: PostgreSQL's clients send it so.
bool IsSaslName(std::string_view text);

// `name` with `,` and `=` in that form.
std::string SaslName(std::string_view name);

}  // namespace leasehold::scram
