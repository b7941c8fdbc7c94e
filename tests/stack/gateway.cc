#include "tests/stack/gateway.h"

#include <signal.h>

#include <atomic>
#include <fstream>

#include "absl/log/absl_check.h"
#include "absl/strings/str_cat.h"
#include "common/config/config.h"
#include "tests/stack/outputs.h"

namespace leasehold::testing {
namespace {

std::string FreeAddress() { return absl::StrCat("127.0.0.1:", localserver::FreePort()); }

}  // namespace

Gateway::Gateway(const Stack& stack, const Change& change)
    : grpc_(FreeAddress()), sql_(FreeAddress()), http_(FreeAddress()) {
  static std::atomic<int> runs = 0;
  base_ = absl::StrCat(stack.state_dir(), "/gateway-", ++runs);
  v1::Config config = ConfigOf(stack);
  config.mutable_gateway()->set_grpc_listen(grpc_);
  config.mutable_gateway()->set_sql_listen(sql_);
  config.mutable_gateway()->set_sql_advertise(sql_);
  config.mutable_gateway()->set_http_listen(http_);
  change(config);
  std::ofstream(base_ + ".yaml") << ToYaml(config);
  Start();
}

void Gateway::Start() {
  auto process = localserver::ChildProcess::Start(
      {.argv = {absl::StrCat(LEASEHOLD_BINARIES, "/leasehold-gateway"), "--config", base_ + ".yaml"},
       .environment = {},
       .log_path = base_ + ".log",
       .working_dir = "",
       .user = ""});
  ABSL_CHECK(process.ok()) << process.status();
  process_ = *std::move(process);
  ABSL_CHECK(Eventually([this] { return !process_->Running() || IsReady(http_); })) << Log();
  ABSL_CHECK(process_->Running()) << Log();
}

int Gateway::Restart(const std::function<void()>& meanwhile) {
  process_->Signal(SIGTERM);
  const int status = process_->Wait();
  meanwhile();
  Start();
  return status;
}

Gateway::~Gateway() { process_->Stop(SIGTERM, absl::Seconds(30)); }

std::string Gateway::Log() const { return Slurp(base_ + ".log"); }

}  // namespace leasehold::testing
