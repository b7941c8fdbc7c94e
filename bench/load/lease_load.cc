// leasehold-bench-leases: AcquireLease, or the gRPC health Check, as often as a gateway answers; prints one JSON
// object.
#include <grpcpp/support/proto_buffer_reader.h>
#include <grpcpp/support/proto_buffer_writer.h>

#include <CLI/CLI.hpp>
#include <format>
#include <iostream>
#include <string>

#include "bench/load/rpc_load.h"
#include "common/secret/secret.h"
#include "leasehold/v1/lease.pb.h"

namespace leasehold::bench {
namespace {

grpc::ByteBuffer ToBuffer(const google::protobuf::MessageLite& message) {
  const std::string bytes = message.SerializeAsString();
  const grpc::Slice slice(bytes);
  return {&slice, 1};
}

std::string ToText(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  if (!buffer.Dump(&slices).ok()) return "";
  std::string text;
  for (const grpc::Slice& slice : slices) text.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return text;
}

// Each call is a lease of its own: a repeated request id would get the first one's credentials again.
void SetAcquire(RpcLoad& load, const std::string& tenant, const std::string& service) {
  load.method = "/leasehold.v1.LeaseService/AcquireLease";
  load.request = [tenant, service, run = RandomHex(8)](int64_t n) {
    v1::AcquireLeaseRequest request;
    request.set_request_id(std::format("{}-{}", run, n));
    request.set_tenant(tenant);
    request.set_service(service);
    request.set_holder("bench");
    return ToBuffer(request);
  };
  load.accept = [](const grpc::ByteBuffer& buffer) {
    v1::AcquireLeaseResponse response;
    return response.ParseFromString(ToText(buffer)) && !response.credentials().password().empty();
  };
}

// grpc.health.v1: an empty HealthCheckRequest asks for the whole server; field 1 of the answer is 1, SERVING.
void SetHealth(RpcLoad& load) {
  load.method = "/grpc.health.v1.Health/Check";
  load.request = [](int64_t) {
    const grpc::Slice nothing("", 0);
    return grpc::ByteBuffer(&nothing, 1);
  };
  load.accept = [](const grpc::ByteBuffer& buffer) { return ToText(buffer) == "\x08\x01"; };
}

int Main(int argc, char** argv) {
  RpcLoad load;
  std::string call;
  std::string tenant;
  std::string service;
  double seconds = 3;
  double warm_up = 0.3;
  CLI::App app("Calls a gateway as often as it answers; prints one JSON object.", "leasehold-bench-leases");
  app.add_option("CALL", call)->required()->check(CLI::IsMember({"acquire", "health"}));
  app.add_option("--gateway", load.address, "host:port")->required();
  app.add_option("--tenant", tenant, "For acquire");
  app.add_option("--service", service, "For acquire");
  app.add_option("--callers", load.callers, "Calls under way")->check(CLI::Range(1, 10000))->capture_default_str();
  app.add_option("--channels", load.channels, "Connections")->check(CLI::Range(1, 100))->capture_default_str();
  app.add_option("--threads", load.threads)->check(CLI::Range(1, 64))->capture_default_str();
  app.add_option("--seconds", seconds)->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--warm-up", warm_up, "Seconds before that, not counted")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  load.duration = absl::Seconds(seconds);
  load.warm_up = absl::Seconds(warm_up);
  if (call == "acquire") {
    SetAcquire(load, tenant, service);
  } else {
    SetHealth(load);
  }

  RpcLoadResult result = RunRpcLoad(load);
  std::string errors;
  for (const auto& [code, count] : result.errors)
    errors += std::format("{}\"{}\":{}", errors.empty() ? "" : ",", code, count);
  std::cout << std::format(R"({{"requests":{},"req_per_s":{:.1f},"p50_ms":{:.3f},"p99_ms":{:.3f},"errors":{{{}}}}})",
                           result.latencies.count(),
                           static_cast<double>(result.latencies.count()) / absl::ToDoubleSeconds(result.elapsed),
                           absl::ToDoubleMilliseconds(result.latencies.Quantile(0.5)),
                           absl::ToDoubleMilliseconds(result.latencies.Quantile(0.99)), errors)
            << std::endl;
  return 0;
}

}  // namespace
}  // namespace leasehold::bench

int main(int argc, char** argv) { return leasehold::bench::Main(argc, argv); }
