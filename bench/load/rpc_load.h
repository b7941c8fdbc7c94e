// Unary gRPC calls against a gateway, always a fixed number under way.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "absl/time/time.h"
#include "bench/load/latencies.h"
#include "grpcpp/support/byte_buffer.h"

namespace leasehold::bench {

struct RpcLoad {
  std::string address;  // host:port
  std::string method;   // "/package.Service/Method"
  // The n-th call's request. Both run on the polling threads, several at once.
  std::function<grpc::ByteBuffer(int64_t n)> request;
  // Whether the answer is one: an empty or wrong answer counts as an error.
  std::function<bool(const grpc::ByteBuffer&)> accept;
  int callers = 64;
  int channels = 4;  // connections that the callers share
  int threads = 2;
  absl::Duration warm_up;
  absl::Duration duration;  // calls that end in it count
};

struct RpcLoadResult {
  Latencies latencies;
  std::map<std::string, int64_t> errors;  // by gRPC status code; "answer" for those not accepted
  absl::Duration elapsed;
};

// Blocks until all calls have ended.
RpcLoadResult RunRpcLoad(const RpcLoad& load);

}  // namespace leasehold::bench
