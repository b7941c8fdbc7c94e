#include "common/jetstream/streams.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "common/jetstream/nats_status.h"
#include "common/status/error.h"

namespace leasehold::jetstream {
namespace {

// Making a stream syncs files; a busy disk takes its time.
constexpr absl::Duration kCreateTimeout = absl::Seconds(5);

}  // namespace

absl::Status Streams::Ensure(const StreamOptions& options) {
  {
    absl::MutexLock lock(&mu_);
    known_[options.name] = options;
  }
  return Apply(options);
}

absl::Status Streams::Restore(const std::string& name) {
  StreamOptions options;
  {
    absl::MutexLock lock(&mu_);
    auto it = known_.find(name);
    if (it == known_.end()) return absl::OkStatus();
    options = it->second;
  }
  return Apply(options);
}

absl::Status Streams::RestoreAll() {
  std::vector<StreamOptions> all;
  {
    absl::MutexLock lock(&mu_);
    for (const auto& [name, options] : known_) all.push_back(options);
  }
  for (const StreamOptions& options : all) LH_RETURN_IF_ERROR(Apply(options));
  return absl::OkStatus();
}

absl::Status Streams::Apply(const StreamOptions& options) {
  LH_RETURN_IF_ERROR(connection_->CheckConnected());
  std::vector<const char*> subjects;
  for (const std::string& subject : options.subjects) subjects.push_back(subject.c_str());

  jsStreamConfig config;
  jsOptions js_options;
  LH_RETURN_IF_ERROR(ToStatus(jsStreamConfig_Init(&config), "stream options"));
  LH_RETURN_IF_ERROR(ToStatus(jsOptions_Init(&js_options), "stream options"));
  js_options.Wait = absl::ToInt64Milliseconds(kCreateTimeout);
  config.Name = options.name.c_str();
  config.Subjects = subjects.data();
  config.SubjectsLen = static_cast<int>(subjects.size());
  config.Storage = js_FileStorage;
  config.Discard = js_DiscardOld;
  config.Replicas = options.replicas;
  config.MaxAge = absl::ToInt64Nanoseconds(options.max_age);
  config.MaxMsgsPerSubject = options.max_messages_per_subject;
  config.Duplicates = absl::ToInt64Nanoseconds(options.duplicate_window);

  const std::shared_ptr<Link> link = connection_->link();
  jsErrCode code = {};
  natsStatus status = js_AddStream(nullptr, link->jetstream(), &config, &js_options, &code);
  if (code == JSStreamNameExistErr) {
    status = js_UpdateStream(nullptr, link->jetstream(), &config, &js_options, &code);
  }
  return ToStatus(status, absl::StrCat("stream ", options.name), code);
}

}  // namespace leasehold::jetstream
