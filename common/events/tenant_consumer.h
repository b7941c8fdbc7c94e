// How a service's provisioners take events of tenants: one durable consumer for all of them. Gateways make it as well,
// so that in a NATS with users no provisioner need be allowed to make consumers.
#pragma once

#include <string>
#include <string_view>

#include "common/jetstream/jetstream.h"

namespace leasehold::events {

inline jetstream::ConsumerOptions TenantConsumer(std::string_view service) {
  return {.stream = "TENANTS",
          .durable = "provisioner-" + std::string(service),
          .filter_subject = "tenants.>",
          // What a provisioner took and died over comes to another one then. Recording one takes milliseconds.
          .ack_wait = absl::Seconds(5)};
}

}  // namespace leasehold::events
