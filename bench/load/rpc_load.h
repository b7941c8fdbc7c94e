// Unary gRPC calls against a gateway, always a fixed number under way.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "bench/load/latencies.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/support/byte_buffer.h"

namespace leasehold::bench {

// What is called with, and which answers count. Each polling thread has one of its own, which may keep what it works
// with: the cores that it saves are the gateway's.
class RpcCodec {
 public:
  virtual ~RpcCodec() = default;
  // The n-th call's request; n counts all threads' calls.
  virtual grpc::ByteBuffer Request(int64_t n) = 0;
  // Whether the answer is one: an empty or wrong answer counts as an error. May take `answer` apart.
  virtual bool Accept(grpc::ByteBuffer& answer) = 0;
};

struct RpcLoad {
  std::string address;  // host:port
  std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::InsecureChannelCredentials();
  std::string method;  // "/package.Service/Method"
  std::function<std::unique_ptr<RpcCodec>()> codec;
  std::string token;  // shown with each call; empty: none
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
