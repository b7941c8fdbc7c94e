#include "common/bearer/bearer.h"

#include <format>
#include <utility>

#include "common/config/config.h"
#include "common/secret/secret.h"

namespace leasehold {
namespace {

using grpc::experimental::InterceptionHookPoints;

class Interceptor : public grpc::experimental::Interceptor {
 public:
  explicit Interceptor(const std::string& token_file) : token_file_(token_file) {}

  void Intercept(grpc::experimental::InterceptorBatchMethods* batch) override {
    if (batch->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_INITIAL_METADATA)) {
      if (const absl::StatusOr<Secret> token = ReadSecretFile(token_file_); token.ok()) {
        batch->GetSendInitialMetadata()->emplace("authorization", std::format("Bearer {}", token->reveal()));
      }
    }
    batch->Proceed();
  }

 private:
  const std::string& token_file_;  // the factory's, which the channel keeps
};

bool IsThisMachine(const std::string& host) {
  const bool is_ipv4 = host.find_first_not_of("0123456789.") == std::string::npos;
  return host == "localhost" || host == "::1" || (is_ipv4 && host.starts_with("127."));
}

class Factory : public grpc::experimental::ClientInterceptorFactoryInterface {
 public:
  explicit Factory(std::string token_file) : token_file_(std::move(token_file)) {}
  grpc::experimental::Interceptor* CreateClientInterceptor(grpc::experimental::ClientRpcInfo*) override {
    return new Interceptor(token_file_);
  }

 private:
  const std::string token_file_;
};

}  // namespace

absl::Status CheckTokenMayGo(const std::string& address, bool over_tls) {
  if (over_tls) return absl::OkStatus();
  const absl::StatusOr<HostPort> parsed = ParseHostPort("", address);
  if (parsed.ok() && IsThisMachine(parsed->host)) return absl::OkStatus();
  return absl::FailedPreconditionError(
      std::format("a token is not sent to {} in clear: whoever reads along could use it; use TLS", address));
}

std::vector<std::unique_ptr<grpc::experimental::ClientInterceptorFactoryInterface>> ShowToken(std::string token_file) {
  std::vector<std::unique_ptr<grpc::experimental::ClientInterceptorFactoryInterface>> factories;
  if (!token_file.empty()) factories.push_back(std::make_unique<Factory>(std::move(token_file)));
  return factories;
}

}  // namespace leasehold
