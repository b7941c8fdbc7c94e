// leasehold-bench-leases: AcquireLease, or the gRPC health Check, as often as a gateway answers; prints one JSON
// object.

#include <CLI/CLI.hpp>
#include <format>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>

#include "absl/time/clock.h"
#include "bench/load/message_texts.h"
#include "bench/load/rpc_load.h"
#include "common/rpc/channel_credentials.h"
#include "common/secret/secret.h"
#include "common/tls/credentials.h"
#include "leasehold/v1/lease.pb.h"

namespace leasehold::bench {
namespace {

constexpr size_t kPasswordBytes = 43;  // 256 bits in base64url

// Each call is a lease of its own: a repeated request id would get the first one's credentials again.
class AcquireCodec : public RpcCodec {
 public:
  AcquireCodec(const std::string& tenant, const std::string& service, const std::string& run) : run_(run) {
    request_.set_tenant(tenant);
    request_.set_service(service);
    request_.set_holder("bench");
  }

  grpc::ByteBuffer Request(int64_t n) override {
    request_.set_request_id(run_ + std::to_string(n));
    grpc::Slice slice(request_.ByteSizeLong());
    request_.SerializeWithCachedSizesToArray(const_cast<uint8_t*>(slice.begin()));
    return {&slice, 1};
  }

  // An AcquireLeaseResponse, well-formed to its end, with a lease and complete credentials. Looked through where it is:
  // what making a message of it takes would be missing from the gateway's cores.
  bool Accept(grpc::ByteBuffer& answer) override {
    grpc::Slice slice;
    if (!answer.TrySingleSlice(&slice).ok() && !answer.DumpToSingleSlice(&slice).ok()) return false;
    const auto parts = TextsOf<3>({reinterpret_cast<const char*>(slice.begin()), slice.size()});
    if (!parts) return false;
    const auto lease = TextsOf<16>((*parts)[v1::AcquireLeaseResponse::kLeaseFieldNumber]);
    const auto credentials = TextsOf<8>((*parts)[v1::AcquireLeaseResponse::kCredentialsFieldNumber]);
    if (!lease || !credentials) return false;
    const std::string_view password = (*credentials)[v1::Credentials::kPasswordFieldNumber];
    return (*lease)[v1::Lease::kTenantFieldNumber] == request_.tenant() &&
           (*credentials)[v1::Credentials::kUserFieldNumber].starts_with("lh1.") && password.size() == kPasswordBytes &&
           (*credentials)[v1::Credentials::kDsnFieldNumber].contains(password);
  }

 private:
  const std::string run_;
  v1::AcquireLeaseRequest request_;
};

// grpc.health.v1: an empty HealthCheckRequest asks for the whole server; field 1 of the answer is 1, SERVING.
class HealthCodec : public RpcCodec {
 public:
  grpc::ByteBuffer Request(int64_t) override {
    const grpc::Slice nothing("", 0);
    return grpc::ByteBuffer(&nothing, 1);
  }

  bool Accept(grpc::ByteBuffer& answer) override {
    grpc::Slice slice;
    return (answer.TrySingleSlice(&slice).ok() || answer.DumpToSingleSlice(&slice).ok()) &&
           std::string_view(reinterpret_cast<const char*>(slice.begin()), slice.size()) == "\x08\x01";
  }
};

int Main(int argc, char** argv) {
  RpcLoad load;
  std::string call;
  std::string tenant;
  std::string service;
  std::string token_file;
  double seconds = 3;
  double warm_up = 0.3;
  CLI::App app("Calls a gateway as often as it answers; prints one JSON object.", "leasehold-bench-leases");
  app.add_option("CALL", call)->required()->check(CLI::IsMember({"acquire", "health"}));
  app.add_option("--gateway", load.address, "host:port")->required();
  app.add_option("--tenant", tenant, "For acquire");
  app.add_option("--service", service, "For acquire");
  app.add_option("--token-file", token_file, "A file with the token to show");
  tls::Options tls{.role = tls::Role::kClient, .certificate = {"--cert"}, .key = {"--key"}, .ca = {"--ca"}};
  app.add_option("--ca", tls.ca.path, "With it the calls go over TLS");
  app.add_option("--cert", tls.certificate.path, "The client's certificate");
  app.add_option("--key", tls.key.path, "Its key");
  app.add_option("--callers", load.callers, "Calls under way")->check(CLI::Range(1, 10000))->capture_default_str();
  app.add_option("--channels", load.channels, "Connections")->check(CLI::Range(1, 100))->capture_default_str();
  app.add_option("--threads", load.threads)->check(CLI::Range(1, 64))->capture_default_str();
  app.add_option("--seconds", seconds)->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--warm-up", warm_up, "Seconds before that, not counted")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  if (!tls.ca.path.empty()) {
    const auto credentials = tls::Credentials::Read(tls, absl::Now());
    if (!credentials.ok()) {
      std::cerr << credentials.status().message() << std::endl;
      return 1;
    }
    load.credentials = rpc::ChannelCredentials(credentials->get());
  }
  load.duration = absl::Seconds(seconds);
  load.warm_up = absl::Seconds(warm_up);
  if (!token_file.empty()) {
    const auto token = ReadSecretFile(token_file);
    if (!token.ok()) {
      std::cerr << token.status().message() << "\n";
      return 1;
    }
    load.token = token->reveal();
  }
  if (call == "acquire") {
    load.method = "/leasehold.v1.LeaseService/AcquireLease";
    load.codec = [&, run = RandomHex(8) + "-"] { return std::make_unique<AcquireCodec>(tenant, service, run); };
  } else {
    load.method = "/grpc.health.v1.Health/Check";
    load.codec = [] { return std::make_unique<HealthCodec>(); };
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
