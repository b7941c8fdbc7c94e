// The options that say what to lease; of `lease acquire`, `lease hold` and `psql`.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "leasehold/v1/lease.pb.h"

namespace leasehold::cli {

class AcquireFlags {
 public:
  // How the lease ends: by its ttl, or with this process, which the ttl then only bounds.
  enum class Life { kTtl, kHeld };

  AcquireFlags() = default;
  AcquireFlags(const AcquireFlags&) = delete;  // CLI::App keeps pointers into it
  AcquireFlags& operator=(const AcquireFlags&) = delete;

  // TENANT SERVICE, or SERVICE alone behind --connection or --domain; --read-only, --session, --ttl, --switch-to,
  // --holder, --wait-ready.
  void AddTo(CLI::App& app, Life life = Life::kTtl);

  // After parsing, from the callback: throws the usage error if what is leased is not said exactly once.
  void Check();

  // With a new request_id. `default_holder` unless --holder was given.
  v1::AcquireLeaseRequest Request(const std::string& default_holder) const;

  // How long the gateway may take to answer.
  absl::Duration Patience() const;

 private:
  std::vector<std::string> what_;
  std::string domain_;
  std::string connection_;
  bool read_only_ = false;
  bool session_ = false;
  absl::Duration ttl_ = absl::InfiniteDuration();  // not given
  std::vector<std::string> switch_to_;
  std::string holder_;
  absl::Duration wait_ready_ = absl::ZeroDuration();
};

// "user@host", so that `lease list` tells who it was.
std::string ThisUser();

}  // namespace leasehold::cli
