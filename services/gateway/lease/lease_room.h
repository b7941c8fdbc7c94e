// What gives leases, put together over a fake directory and a clock that stands still. Tests only.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "common/clock/clock.h"
#include "common/config/config.h"
#include "services/gateway/lease/fake_directory.h"
#include "services/gateway/lease/issuer.h"
#include "services/gateway/lease/timer.h"

namespace leasehold::gateway {

inline v1::Config TwoServices() {
  v1::Config config;
  for (const char* name : {"identity", "core"}) {
    v1::ServiceConfig& service = *config.add_services();
    service.set_name(name);
    service.mutable_instance()->set_database(std::string(name) + "_central");
  }
  *config.mutable_leases()->mutable_default_ttl() = FromDuration(absl::Minutes(15));
  *config.mutable_leases()->mutable_max_ttl() = FromDuration(absl::Hours(24));
  return config;
}

class LeaseRoomTest : public testing::Test {
 protected:
  // The timer and the book do what is due only here.
  void Pass(absl::Duration time) {
    clock_.Advance(time);
    timer_.Tick();
    book_.Tick();
  }

  FakeClock clock_;
  const SigningKeys keys_ = *SigningKeys::Parse(
      "2 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"
      "1 1f1e1d1c1b1a191817161514131211100f0e0d0c0b0a09080706050403020100\n");
  const v1::Config config_ = TwoServices();
  const KnownServices services_{config_};
  LeaseWatchers watchers_;
  LeaseOutbox outbox_;
  LeaseBook book_{clock_, watchers_, outbox_, {}};
  LeaseIssuer issuer_{keys_, services_, book_, {"db.example", 7432}};
  FakeDirectory directory_;
  Timer timer_{clock_};
};

}  // namespace leasehold::gateway
