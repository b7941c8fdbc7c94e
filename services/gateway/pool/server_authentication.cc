#include "services/gateway/pool/server_authentication.h"

#include <format>

#include "services/gateway/pgwire/encode.h"
#include "services/gateway/pgwire/frame.h"

namespace leasehold::gateway {
namespace {

constexpr std::string_view kMechanism = "SCRAM-SHA-256";

}  // namespace

absl::Status ServerAuthentication::Answer(std::string_view body, std::string& out) {
  pgwire::BodyReader reader(body);
  const uint32_t kind = reader.U32();
  if (!reader.ok()) return absl::InternalError("malformed Authentication message");
  switch (kind) {
    case 0:
      // A server that skips the exchange half-way has not proved that it knows the password.
      if (step_ == Step::kStarted) return absl::UnauthenticatedError("the server broke off SCRAM");
      return absl::OkStatus();
    case 10: {
      bool offered = false;
      for (std::string_view name = reader.CString(); !name.empty(); name = reader.CString()) {
        offered |= name == kMechanism;
      }
      if (!offered || step_ != Step::kNone)
        return absl::UnauthenticatedError("the server does not offer SCRAM-SHA-256");
      step_ = Step::kStarted;
      pgwire::SaslInitialResponse(out, kMechanism, exchange_.ClientFirst());
      return absl::OkStatus();
    }
    case 11: {
      if (step_ != Step::kStarted) return absl::UnauthenticatedError("SCRAM out of order");
      absl::StatusOr<std::string> final_message = exchange_.OnServerFirst(reader.rest());
      if (!final_message.ok()) return final_message.status();
      pgwire::SaslResponse(out, *final_message);
      return absl::OkStatus();
    }
    case 12: {
      if (step_ != Step::kStarted) return absl::UnauthenticatedError("SCRAM out of order");
      step_ = Step::kDone;
      return exchange_.OnServerFinal(reader.rest());
    }
    default:
      return absl::UnauthenticatedError(std::format("the server asks for authentication method {}", kind));
  }
}

}  // namespace leasehold::gateway
