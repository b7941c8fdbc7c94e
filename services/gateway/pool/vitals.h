// Whether an instance answers, by what its pool hears of it anyway; the pool asks when it has heard nothing for long.
#pragma once

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace leasehold::gateway {

// One loop. `now`: of any clock that only goes forward, and past zero.
class Vitals {
 public:
  // PostgreSQL has answered, whatever it said.
  void Answered(absl::Duration now) { last_answer_ = now; }
  // … a question of the pool's own, a log-in or a sign of life, after so long.
  void Answered(absl::Duration now, absl::Duration took) {
    Answered(now);
    took_ = took;
  }
  // It did not answer, or that it takes nobody: `why`, which a client may read.
  void Failed(absl::Duration now, absl::Status why) {
    if (!failing()) failing_since_ = now;
    last_failure_ = now;
    why_ = std::move(why);
  }

  bool heard() const { return std::max(last_answer_, last_failure_) > absl::ZeroDuration(); }
  bool failing() const { return last_failure_ > last_answer_; }
  // Zero: it is not.
  absl::Duration FailingFor(absl::Duration now) const {
    return failing() ? now - failing_since_ : absl::ZeroDuration();
  }
  // Since anything was heard, good or bad.
  absl::Duration QuietFor(absl::Duration now) const { return now - std::max(last_answer_, last_failure_); }

  // OK, or why it is failing.
  absl::Status status() const { return failing() ? why_ : absl::OkStatus(); }
  // Of the last question of the pool's own that was answered.
  std::optional<absl::Duration> took() const { return took_; }

 private:
  absl::Duration last_answer_ = absl::ZeroDuration();
  absl::Duration last_failure_ = absl::ZeroDuration();
  absl::Duration failing_since_ = absl::ZeroDuration();
  absl::Status why_;
  std::optional<absl::Duration> took_;
};

}  // namespace leasehold::gateway
