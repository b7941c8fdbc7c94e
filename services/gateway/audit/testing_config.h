// Tests only.
#pragma once

#include <string>

#include "leasehold/v1/config.pb.h"

namespace leasehold::gateway {

inline v1::AuditConfig AuditConfigOf(const std::string& on_failure, int buffer = 1000,
                                     const std::string& record = "on") {
  v1::AuditConfig config;
  config.set_record(record);
  config.set_on_failure(on_failure);
  config.set_buffer(buffer);
  return config;
}

}  // namespace leasehold::gateway
