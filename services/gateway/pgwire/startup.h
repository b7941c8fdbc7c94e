// The first packet of a connection, the only one without a type byte.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "services/gateway/pgwire/error_fields.h"
#include "services/gateway/pgwire/frame.h"

namespace leasehold::gateway::pgwire {

// PostgreSQL's MAX_STARTUP_PACKET_LENGTH, with the length itself.
inline constexpr size_t kLargestStartup = 10'000;
inline constexpr uint32_t kProtocol30 = 3 << 16;

struct SslRequest {};
struct GssEncRequest {};

struct CancelRequest {
  uint32_t process_id = 0;
  uint32_t secret = 0;
};

struct StartupMessage {
  uint16_t minor = 0;                                         // of protocol 3
  std::string user;                                           // never empty
  std::string database;                                       // empty: not given
  std::vector<std::pair<std::string, std::string>> settings;  // the rest, in order: application_name, options …
  std::vector<std::string> protocol_options;                  // names of `_pq_.` options, none of which we know

  // True if the client must be told with NegotiateProtocolVersion that it gets 3.0 without options.
  bool NeedsNegotiation() const { return minor > 0 || !protocol_options.empty(); }
};

using StartupPacket = std::variant<SslRequest, GssEncRequest, CancelRequest, StartupMessage>;

struct StartupDecoded {
  Answer answer = Answer::kNeedMore;
  size_t consumed = 0;   // kDone
  StartupPacket packet;  // kDone
  ErrorFields error;     // kStop; without code: not worth a word
};

StartupDecoded DecodeStartup(std::string_view bytes);

// The `options` of a StartupMessage, as PostgreSQL reads them: "-c name=value" or "--name=value", parted by blanks,
// with backslashes before blanks that are meant. Other switches are refused.
std::expected<std::vector<std::pair<std::string, std::string>>, ErrorFields> ParseOptions(std::string_view options);

}  // namespace leasehold::gateway::pgwire
