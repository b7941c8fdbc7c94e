#include "common/otlp/otlp_headers.h"

#include <algorithm>
#include <charconv>
#include <format>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "common/status/error.h"

namespace leasehold {
namespace {

constexpr size_t kMaxHeaders = 32;
constexpr size_t kMaxName = 128;
constexpr size_t kMaxValue = 4096;
constexpr char kFile[] = "LEASEHOLD_OTLP_HEADERS_FILE";
// Whatever it is may be a part of a secret.
constexpr std::string_view kHidden = "…";

// What the client says of the request itself.
constexpr std::string_view kReserved[] = {"connection", "content-encoding",  "content-length", "content-type", "host",
                                          "te",         "transfer-encoding", "upgrade"};

bool IsName(std::string_view text) {
  return !text.empty() && text.size() <= kMaxName && std::ranges::all_of(text, [](unsigned char c) {
    return absl::ascii_isalnum(c) || std::string_view("!#$%&'*+-.^_`|~").contains(static_cast<char>(c));
  });
}

bool IsValue(std::string_view text) {
  return !text.empty() && text.size() <= kMaxValue &&
         std::ranges::all_of(text, [](unsigned char c) { return absl::ascii_isprint(c) || c == '\t'; });
}

bool IsSame(std::string_view a, std::string_view b) { return absl::EqualsIgnoreCase(AbslView(a), AbslView(b)); }

absl::Status Add(OtlpHeaders& headers, const std::string& where, std::string_view name, std::string_view value) {
  if (!IsName(name))
    return InvalidField(where, kHidden, "a header's name of 1 to 128 letters, digits and !#$%&'*+-.^_`|~");
  if (std::ranges::any_of(kReserved, [&](std::string_view reserved) { return IsSame(name, reserved); })) {
    return InvalidField(where, name, "none of the headers that HTTP needs for itself");
  }
  if (!IsValue(value)) return InvalidField(where, kHidden, "a value of 1 to 4096 printable ASCII characters");
  if (std::ranges::any_of(headers, [&](const auto& header) { return IsSame(header.first, name); })) {
    return InvalidField(where, name, "each header once");
  }
  if (headers.size() == kMaxHeaders) return InvalidField(where, name, std::format("at most {} headers", kMaxHeaders));
  headers.emplace_back(name, Secret(std::string(value)));
  return absl::OkStatus();
}

std::string_view Trimmed(std::string_view text) { return StdView(absl::StripAsciiWhitespace(AbslView(text))); }

// nullopt where % is not followed by two hex digits.
std::optional<std::string> PercentDecoded(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    unsigned char byte = 0;
    const std::string_view digits = text.substr(i + 1, 2);
    if (digits.size() < 2 || std::from_chars(digits.data(), digits.data() + 2, byte, 16).ptr != digits.data() + 2) {
      return std::nullopt;
    }
    out += static_cast<char>(byte);
    i += 2;
  }
  return out;
}

}  // namespace

absl::StatusOr<OtlpHeaders> ParseOtlpHeaderLines(std::string_view text) {
  OtlpHeaders headers;
  int number = 0;
  for (const absl::string_view raw : absl::StrSplit(AbslView(text), '\n')) {
    const std::string where = std::format("{} line {}", kFile, ++number);
    const std::string_view line = Trimmed(StdView(raw));
    if (line.empty() || line.starts_with('#')) continue;
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) return InvalidField(where, kHidden, "Name: value");
    LH_RETURN_IF_ERROR(Add(headers, where, line.substr(0, colon), Trimmed(line.substr(colon + 1))));
  }
  return headers;
}

absl::StatusOr<OtlpHeaders> ParseOtlpHeaderList(std::string_view text) {
  OtlpHeaders headers;
  int number = 0;
  for (const absl::string_view raw : absl::StrSplit(AbslView(text), ',')) {
    const std::string where = std::format("{} member {}", kOtlpHeaders, ++number);
    const std::string_view member = Trimmed(StdView(raw));
    if (member.empty()) continue;
    const size_t equals = member.find('=');
    if (equals == std::string_view::npos) return InvalidField(where, kHidden, "name=value");
    const auto value = PercentDecoded(Trimmed(member.substr(equals + 1)));
    if (!value) return InvalidField(where, kHidden, "a value in which % is followed by two hex digits");
    LH_RETURN_IF_ERROR(Add(headers, where, Trimmed(member.substr(0, equals)), *value));
  }
  return headers;
}

OtlpHeaders Merged(OtlpHeaders headers, const OtlpHeaders& over) {
  std::erase_if(headers, [&](const auto& header) {
    return std::ranges::any_of(over, [&](const auto& other) { return IsSame(header.first, other.first); });
  });
  headers.insert(headers.end(), over.begin(), over.end());
  return headers;
}

std::string OtlpHeadersFile(const Environment& environment) { return environment(kFile).value_or(""); }

absl::StatusOr<OtlpHeaders> ReadOtlpHeaders(const Environment& environment) {
  LH_ASSIGN_OR_RETURN(const OtlpHeaders own, ParseOtlpHeaderList(environment(kOtlpHeaders).value_or("")));
  const std::string path = OtlpHeadersFile(environment);
  if (path.empty()) return own;
  LH_ASSIGN_OR_RETURN(const Secret text, ReadSecretFile(path));
  LH_ASSIGN_OR_RETURN(OtlpHeaders of_file, ParseOtlpHeaderLines(text.reveal()));
  return Merged(std::move(of_file), own);
}

}  // namespace leasehold
