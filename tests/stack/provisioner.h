// A further provisioner of a service of a running stack, in the test's own hands: nobody starts it again.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/localserver/localserver.h"
#include "leasehold/v1/config.pb.h"
#include "tests/stack/stack.h"

namespace leasehold::testing {

// Killed when it goes. One thread.
class Provisioner {
 public:
  // `fail_point`: "NAME:kill" or "NAME:stop" (common/failpoint); empty: none. Without spares each database is made
  // step by step.
  enum class Spares { kAsConfigured, kNone };
  // `change`: of the stack's configuration, in which the addresses of HTTP are others.
  using Change = std::function<void(v1::Config&)>;
  Provisioner(
      Stack& stack, const std::string& service, const std::string& fail_point = "",
      Spares spares = Spares::kAsConfigured, const Change& change = [](v1::Config&) {});
  ~Provisioner();

  bool Running() { return process_->Running(); }
  // It stands still (SIGSTOP).
  bool Stopped() const;
  void Signal(int signal) { process_->Signal(signal); }
  std::string Log() const;
  // How many lines of its log hold `text`.
  int Said(const std::string& text) const;

 private:
  std::string log_;
  std::unique_ptr<localserver::ChildProcess> process_;
};

}  // namespace leasehold::testing
