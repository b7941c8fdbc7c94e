#include "services/gateway/pgwire/startup.h"

#include <algorithm>
#include <format>
#include <utility>

#include "absl/strings/ascii.h"
#include "common/status/view.h"

namespace leasehold::gateway::pgwire {
namespace {

constexpr uint32_t kCancelCode = 1234 << 16 | 5678;
constexpr uint32_t kSslCode = 1234 << 16 | 5679;
constexpr uint32_t kGssEncCode = 1234 << 16 | 5680;

StartupDecoded Stop(std::string_view code, std::string message) {
  StartupDecoded decoded;
  decoded.answer = Answer::kStop;
  decoded.error = {.code = std::string(code), .message = std::move(message)};
  return decoded;
}

// PostgreSQL reads a boolean or the word "database" here.
bool MeansReplication(std::string_view value) {
  const std::string word = absl::AsciiStrToLower(AbslView(value));
  return !(word.empty() || word == "0" || word == "off" || word == "false" || word == "no" || word == "f" ||
           word == "n");
}

StartupDecoded DecodeMessage(uint32_t version, std::string_view body) {
  if (version >> 16 != 3) {
    return Stop("0A000", std::format("unsupported frontend protocol {}.{}: server supports 3.0", version >> 16,
                                     version & 0xffff));
  }
  StartupMessage message;
  message.minor = static_cast<uint16_t>(version);
  BodyReader reader(body);
  while (true) {
    const std::string_view name = reader.CString();
    if (!reader.ok()) return Stop("08P01", "invalid startup packet layout: expected terminator as last byte");
    if (name.empty()) break;
    const std::string_view value = reader.CString();
    if (!reader.ok()) return Stop("08P01", "invalid startup packet layout: a name without a value");
    if (name == "user") {
      message.user = value;
    } else if (name == "database") {
      message.database = value;
    } else if (name == "replication") {
      if (MeansReplication(value)) return Stop("0A000", "replication connections do not go through Leasehold");
    } else if (name.starts_with("_pq_.")) {
      message.protocol_options.emplace_back(name);
    } else {
      message.settings.emplace_back(name, value);
    }
  }
  if (!reader.rest().empty()) return Stop("08P01", "invalid startup packet layout: expected terminator as last byte");
  if (message.user.empty()) return Stop("28000", "no PostgreSQL user name specified in startup packet");
  StartupDecoded decoded;
  decoded.answer = Answer::kDone;
  decoded.packet = std::move(message);
  return decoded;
}

}  // namespace

StartupDecoded DecodeStartup(std::string_view bytes) {
  StartupDecoded decoded;
  if (bytes.size() < 4) return decoded;
  const uint32_t length = ReadU32(bytes.data());
  // Other protocols (HTTP, a bare TLS hello) show up here as an absurd length: no answer would reach them.
  if (length < 8 || length > kLargestStartup) return Stop("", "");
  if (bytes.size() < length) return decoded;
  const uint32_t code = ReadU32(bytes.data() + 4);
  const std::string_view body = bytes.substr(8, length - 8);
  if (code == kSslCode || code == kGssEncCode) {
    if (!body.empty()) return Stop("", "");
    if (code == kSslCode) {
      decoded.packet = SslRequest{};
    } else {
      decoded.packet = GssEncRequest{};
    }
    decoded.answer = Answer::kDone;
  } else if (code == kCancelCode) {
    if (body.size() != 8) return Stop("", "");
    decoded.packet = CancelRequest{.process_id = ReadU32(body.data()), .secret = ReadU32(body.data() + 4)};
    decoded.answer = Answer::kDone;
  } else {
    decoded = DecodeMessage(code, body);
  }
  decoded.consumed = length;
  return decoded;
}

std::expected<std::vector<std::pair<std::string, std::string>>, ErrorFields> ParseOptions(std::string_view options) {
  std::vector<std::string> words;
  bool in_word = false;
  for (size_t i = 0; i < options.size(); ++i) {
    const char c = options[i];
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f') {
      in_word = false;
      continue;
    }
    if (!std::exchange(in_word, true)) words.emplace_back();
    if (c != '\\') {
      words.back().push_back(c);
    } else if (i + 1 < options.size()) {
      words.back().push_back(options[++i]);
    }
  }
  std::vector<std::pair<std::string, std::string>> settings;
  for (size_t i = 0; i < words.size(); ++i) {
    std::string_view word = words[i];
    if (word == "-c" && i + 1 < words.size()) {
      word = words[++i];
    } else if (word.starts_with("-c") || word.starts_with("--")) {
      word.remove_prefix(2);
    } else {
      word = "";
    }
    const size_t equals = word.find('=');
    if (equals == std::string_view::npos || equals == 0) {
      return std::unexpected(ErrorFields{
          .code = "0A000", .message = "the only options that a lease can give are settings", .hint = "-c name=value"});
    }
    std::string name(word.substr(0, equals));
    if (words[i].starts_with("--")) std::ranges::replace(name, '-', '_');
    settings.emplace_back(std::move(name), std::string(word.substr(equals + 1)));
  }
  return settings;
}

}  // namespace leasehold::gateway::pgwire
