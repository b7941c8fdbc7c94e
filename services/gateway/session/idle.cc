// A client that has nothing to say for too long: idle_session_timeout. On a server it would end that in the pool,
// whoever has had it last, and the client would not notice.
#include "services/gateway/session/session.h"

namespace leasehold::gateway {

void Session::SetIdleTimeout(absl::Duration timeout) {
  ForgetIdleTimer();
  idle_timeout_ = timeout;
  idle_since_ = loop().now();
  if (idle_timeout_ != absl::ZeroDuration()) ArmIdleTimer(idle_timeout_);
}

// Looked at now and then, rather than set anew with each message.
void Session::ArmIdleTimer(absl::Duration left) {
  idle_timer_ = loop().After(left, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->OnIdleTimer();
  });
}

void Session::OnIdleTimer() {
  idle_timer_.reset();
  if (stage_ == Stage::kEnded) return;
  absl::Duration left = idle_timeout_;
  if (Idle() && lost_ == Lost::kNo) left -= loop().now() - idle_since_;
  if (left > absl::ZeroDuration()) return ArmIdleTimer(left);
  End({.code = "57P05", .message = "terminating connection due to idle-session timeout"});
}

void Session::ForgetIdleTimer() {
  if (idle_timer_) loop().Cancel(*std::exchange(idle_timer_, std::nullopt));
}

}  // namespace leasehold::gateway
