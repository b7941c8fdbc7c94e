#include "tests/stack/provisioner.h"

#include <signal.h>

#include <atomic>
#include <fstream>

#include "absl/log/absl_check.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/config/config.h"
#include "tests/stack/outputs.h"

namespace leasehold::testing {

Provisioner::Provisioner(Stack& stack, const std::string& service, const std::string& fail_point, Spares spares,
                         const Change& change) {
  static std::atomic<int> runs = 0;
  const std::string base = absl::StrCat(stack.state_dir(), "/provisioner-", ++runs);
  v1::Config config = ConfigOf(stack);
  for (v1::ServiceConfig& its : *config.mutable_services()) {
    its.set_http_listen(absl::StrCat("127.0.0.1:", localserver::FreePort()));
  }
  if (spares == Spares::kNone) {
    config.mutable_provisioner()->set_min_spares(0);
    config.mutable_provisioner()->set_max_spares(0);
  }
  change(config);
  std::ofstream(base + ".yaml") << ToYaml(config);
  log_ = base + ".log";
  auto process = localserver::ChildProcess::Start({.argv = {absl::StrCat(LEASEHOLD_BINARIES, "/leasehold-provisioner"),
                                                            "--config", base + ".yaml", "--service", service},
                                                   .environment = {absl::StrCat("LEASEHOLD_FAILPOINT=", fail_point)},
                                                   .log_path = log_,
                                                   .working_dir = "",
                                                   .user = ""});
  ABSL_CHECK(process.ok()) << process.status();
  process_ = *std::move(process);
}

Provisioner::~Provisioner() {
  process_->Signal(SIGCONT);
  process_->Stop(SIGKILL, absl::Seconds(5));
}

bool Provisioner::Stopped() const {
  // "pid (name) state …"
  const std::string stat = Slurp(absl::StrCat("/proc/", process_->pid(), "/stat"));
  const size_t end = stat.rfind(')');
  return end != std::string::npos && end + 2 < stat.size() && stat[end + 2] == 'T';
}

std::string Provisioner::Log() const { return Slurp(log_); }

int Provisioner::Said(const std::string& text) const {
  int lines = 0;
  for (absl::string_view line : absl::StrSplit(Log(), '\n')) lines += absl::StrContains(line, text) ? 1 : 0;
  return lines;
}

}  // namespace leasehold::testing
