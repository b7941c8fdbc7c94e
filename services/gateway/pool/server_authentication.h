// What the gateway answers a PostgreSQL server that asks who it is. No I/O.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "common/scram/scram.h"
#include "common/secret/secret.h"

namespace leasehold::gateway {

// Whether a log-in is bound to the TLS connection that it goes through; libpq's channel_binding.
enum class ChannelBinding { kDisable, kPrefer, kRequire };

// One log-in. SCRAM-SHA-256-PLUS, SCRAM-SHA-256 or trust: a server that asks for the password in clear or as MD5 is
// refused.
class ServerAuthentication {
 public:
  // `end_point`: of the TLS connection; empty without TLS, or where it has none. With kRequire nothing but
  // SCRAM-SHA-256-PLUS will do.
  explicit ServerAuthentication(Secret password, std::string end_point = "",
                                ChannelBinding binding = ChannelBinding::kPrefer)
      : password_(std::move(password)), end_point_(std::move(end_point)), binding_(binding) {}

  // Appends the answer to an Authentication message, of which `body` is the body, to `out`. UNAUTHENTICATED: the server
  // is not to be trusted, or wants what it does not get.
  absl::Status Answer(std::string_view body, std::string& out);

 private:
  enum class Step { kNone, kStarted, kDone };
  absl::Status Begin(bool offers_plain, bool offers_plus, std::string& out);

  const Secret password_;
  const std::string end_point_;
  const ChannelBinding binding_;
  std::optional<scram::ClientExchange> exchange_;  // from kStarted on
  bool bound_ = false;
  Step step_ = Step::kNone;
};

}  // namespace leasehold::gateway
