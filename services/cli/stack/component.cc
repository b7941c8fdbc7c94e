#include "services/cli/stack/component.h"

#include <sys/wait.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/status/error.h"
#include "services/cli/stack/run_lock.h"

namespace leasehold::stack {
namespace {

std::string LocalAddress(int port) { return absl::StrCat("127.0.0.1:", port); }

// The postmaster of a stack that was killed is a zombie until init reaps it, and PostgreSQL takes a zombie for a rival.
void AwaitReaped(const std::string& data_dir) {
  pid_t pid = 0;
  std::ifstream(absl::StrCat(data_dir, "/postmaster.pid")) >> pid;
  const absl::Time give_up = absl::Now() + absl::Seconds(20);
  while (pid > 0 && kill(pid, 0) == 0 && !Identify(pid) && absl::Now() < give_up)
    absl::SleepFor(absl::Milliseconds(20));
}

// How many lines of the file begin there or later, of which so many are shown at most.
int LinesBehind(const std::string& path, uintmax_t begin) {
  constexpr int kMost = 8;
  std::ifstream file(path);
  file.seekg(static_cast<std::streamoff>(begin));
  int lines = 0;
  for (std::string line; lines < kMost && std::getline(file, line);) ++lines;
  return lines;
}

}  // namespace

PostgresComponent::PostgresComponent(std::string name, localserver::PostgresServer::Options options,
                                     std::function<absl::Status()> prepare)
    : Component(std::move(name), LocalAddress(options.port)),
      options_(std::move(options)),
      prepare_(std::move(prepare)) {}

absl::Status PostgresComponent::Start(const std::atomic<bool>& cancelled) {
  if (cancelled) return absl::CancelledError("stopped");
  if (server_ != nullptr) {
    LH_RETURN_IF_ERROR(server_->Restart(&cancelled));
  } else {
    AwaitReaped(options_.data_dir);
    LH_ASSIGN_OR_RETURN(server_, localserver::PostgresServer::Start(options_, &cancelled));
  }
  if (prepare_ == nullptr) return absl::OkStatus();
  absl::Status prepared = prepare_();
  if (!prepared.ok()) {
    server_->Stop();
    return prepared;
  }
  prepare_ = nullptr;
  return absl::OkStatus();
}

void PostgresComponent::Stop() {
  if (server_ != nullptr) server_->Stop();
}

NatsComponent::NatsComponent(localserver::NatsServer::Options options)
    : Component("nats", LocalAddress(options.port)), options_(std::move(options)) {}

absl::Status NatsComponent::Start(const std::atomic<bool>& cancelled) {
  if (cancelled) return absl::CancelledError("stopped");
  if (server_ != nullptr) return server_->Restart();
  LH_ASSIGN_OR_RETURN(server_, localserver::NatsServer::Start(options_));
  return absl::OkStatus();
}

void NatsComponent::Stop() {
  if (server_ != nullptr) server_->Stop();
}

DaemonComponent::DaemonComponent(Options options)
    : Component(options.name, options.address), options_(std::move(options)) {}

absl::Status DaemonComponent::Failed(const std::string& what) const {
  // What earlier runs have logged there says nothing of this failure.
  const int lines = LinesBehind(options_.log_path, log_begin_);
  if (lines == 0) return absl::FailedPreconditionError(absl::StrCat(what, " without a word"));
  return absl::FailedPreconditionError(absl::StrCat(what, "; its log, ", options_.log_path,
                                                    ", ends with:", localserver::LastLines(options_.log_path, lines)));
}

absl::Status DaemonComponent::Start(const std::atomic<bool>& cancelled) {
  std::error_code none_yet;
  log_begin_ = std::filesystem::file_size(options_.log_path, none_yet);
  if (none_yet) log_begin_ = 0;
  LH_ASSIGN_OR_RETURN(process_, localserver::ChildProcess::Start({.argv = options_.argv,
                                                                  .environment = options_.environment,
                                                                  .log_path = options_.log_path,
                                                                  .working_dir = "",
                                                                  .user = ""}));
  const absl::Time give_up = absl::Now() + options_.patience;
  std::string missing;
  while (!IsReady(options_.http, options_.http_files)) {
    if (!process_->Running()) return Failed(absl::StrCat("it ended at start (", HowItEnded(), ")"));
    if (cancelled) {
      Stop();
      return absl::CancelledError("stopped");
    }
    if (absl::Now() > give_up) {
      missing = WhatIsMissing(options_.http, options_.http_files);
      Stop();
      return Failed(absl::StrCat("it is not ready after ", absl::FormatDuration(options_.patience),
                                 missing.empty() ? "" : ": ", missing));
    }
    absl::SleepFor(absl::Milliseconds(20));
  }
  return absl::OkStatus();
}

void DaemonComponent::Stop() {
  if (process_ != nullptr) process_->Stop(SIGTERM, options_.stop_patience);
}

std::string DaemonComponent::HowItEnded() {
  if (process_ == nullptr) return "";
  const auto status = process_->exit_status();
  if (!status) return "";
  return WIFSIGNALED(*status) ? absl::StrCat("signal ", WTERMSIG(*status))
                              : absl::StrCat("exit status ", WEXITSTATUS(*status));
}

}  // namespace leasehold::stack
