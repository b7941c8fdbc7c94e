#include "services/gateway/pool/server_authentication.h"

#include <format>

#include "services/gateway/pgwire/encode.h"
#include "services/gateway/pgwire/frame.h"

namespace leasehold::gateway {

absl::Status ServerAuthentication::Begin(bool offers_plain, bool offers_plus, std::string& out) {
  using Binding = scram::ClientExchange::Channel::Binding;
  const bool able = !end_point_.empty() && binding_ != ChannelBinding::kDisable;
  bound_ = able && offers_plus;
  if (!bound_ && binding_ == ChannelBinding::kRequire) {
    return absl::UnauthenticatedError(able ? "the server does not offer SCRAM-SHA-256-PLUS, which is required"
                                           : "channel binding is required, and the connection has nothing to bind to");
  }
  if (!bound_ && !offers_plain) return absl::UnauthenticatedError("the server does not offer SCRAM-SHA-256");
  scram::ClientExchange::Channel channel;
  if (bound_) {
    channel = {.binding = Binding::kEndPoint, .end_point = end_point_};
  } else if (able) {
    channel.binding = Binding::kNotOffered;
  }
  exchange_.emplace(password_, scram::MakeNonce(), channel);
  step_ = Step::kStarted;
  pgwire::SaslInitialResponse(out, bound_ ? scram::kPlusMechanism : scram::kMechanism, exchange_->ClientFirst());
  return absl::OkStatus();
}

absl::Status ServerAuthentication::Answer(std::string_view body, std::string& out) {
  pgwire::BodyReader reader(body);
  const uint32_t kind = reader.U32();
  if (!reader.ok()) return absl::InternalError("malformed Authentication message");
  switch (kind) {
    case 0:
      // A server that skips the exchange half-way has not proved that it knows the password.
      if (step_ == Step::kStarted) return absl::UnauthenticatedError("the server broke off SCRAM");
      if (binding_ == ChannelBinding::kRequire && !bound_) {
        return absl::UnauthenticatedError("the server asks for no proof, and channel binding is required");
      }
      return absl::OkStatus();
    case 10: {
      if (step_ != Step::kNone) return absl::UnauthenticatedError("SCRAM out of order");
      bool plain = false;
      bool plus = false;
      for (std::string_view name = reader.CString(); !name.empty(); name = reader.CString()) {
        plain |= name == scram::kMechanism;
        plus |= name == scram::kPlusMechanism;
      }
      return Begin(plain, plus, out);
    }
    case 11: {
      if (step_ != Step::kStarted) return absl::UnauthenticatedError("SCRAM out of order");
      absl::StatusOr<std::string> final_message = exchange_->OnServerFirst(reader.rest());
      if (!final_message.ok()) return final_message.status();
      pgwire::SaslResponse(out, *final_message);
      return absl::OkStatus();
    }
    case 12: {
      if (step_ != Step::kStarted) return absl::UnauthenticatedError("SCRAM out of order");
      step_ = Step::kDone;
      return exchange_->OnServerFinal(reader.rest());
    }
    default:
      return absl::UnauthenticatedError(std::format("the server asks for authentication method {}", kind));
  }
}

}  // namespace leasehold::gateway
