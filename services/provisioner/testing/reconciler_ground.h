// What a reconciler stands on in a test, beside the instance: records, health, a clock, and a gateway that says what
// the test wants. Tests only.
#pragma once

#include <functional>
#include <utility>

#include "common/clock/clock.h"
#include "common/daemon/daemon.h"
#include "common/postgres/postgres.h"
#include "common/telemetry/metrics.h"
#include "services/provisioner/reconcile/dependency.h"
#include "services/provisioner/reconcile/reconciler.h"
#include "services/provisioner/state/records.h"
#include "services/provisioner/testing/fake_gateway.h"
#include "services/provisioner/testing/test_instance.h"

namespace leasehold::provisioner {

template <typename ClockType = FakeClock>
class ReconcilerGround {
 public:
  ReconcilerGround(const TestInstance& test, int connections)
      : instance_(test.instance()), pool_(instance_.AsLogin(instance_.central_database()), connections) {}

  Reconciler::Parts PartsWith(std::function<void()> on_status) {
    return {.instance = instance_,
            .central = pool_,
            .records = records_,
            .desired = gateway_,
            .instance_health = instance_health_,
            .gateway_health = gateway_health_,
            .clock = clock_,
            .metrics = metrics_,
            .on_status = std::move(on_status)};
  }

 private:
  const Instance& instance_;

 public:
  ClockType clock_;
  Metrics metrics_;
  Health health_{clock_};
  Dependency instance_health_{health_, "instance"};
  Dependency gateway_health_{health_, "gateway"};
  postgres::ConnectionPool pool_;
  Records records_{pool_, clock_};
  FakeGateway gateway_;
};

}  // namespace leasehold::provisioner
