// What a stream that goes on for long asks from time to time: whether it would still be let in.
#pragma once

#include <google/protobuf/message.h>
#include <grpcpp/grpcpp.h>

#include <functional>
#include <string_view>

#include "absl/status/status.h"

namespace leasehold::gateway {

class Rechecker {
 public:
  using Done = std::function<void(const absl::Status&)>;
  using Recheck = std::function<void(Done)>;
  virtual ~Rechecker() = default;

  // For a call of `method` ("/leasehold.v1.LeaseService/HoldLease") that was let in, with its request. The result may
  // outlive the call, but not this; it runs `done` once, on any thread, before it returns if nothing has to be looked
  // up.
  virtual Recheck RecheckOf(const grpc::CallbackServerContext& call, std::string_view method,
                            const google::protobuf::Message& request) = 0;
};

}  // namespace leasehold::gateway
