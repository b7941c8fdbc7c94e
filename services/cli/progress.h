// What is shown on stderr while an operation runs: a bar that moves on a terminal, one plain line for each change
// elsewhere.
#pragma once

#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "leasehold/v1/operation.pb.h"
#include "services/cli/terminal.h"

namespace leasehold::cli {

// "[########------------]": `width` characters for done of total.
std::string Bar(int done, int total, int width);

// The bar's line for a terminal of `columns`, without colours: id, bar, done/total, time, bytes, message.
std::string ProgressLine(const v1::Operation& operation, absl::Duration elapsed, int columns);

// The line where there is no terminal: of bytes only each tenth, so that it is another one ten times at most.
std::string PlainLine(const v1::Operation& operation);

class Progress {
 public:
  // `quiet`: nothing is written (--json).
  Progress(const Terminal& terminal, bool quiet);
  ~Progress();

  // From the thread that watches the operation.
  void Update(const v1::Operation& operation);
  // The last state stays on the screen; the next Update() begins a new bar.
  void Finish();

 private:
  void Animate();
  void Draw() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const Terminal terminal_;
  const bool quiet_;
  absl::Mutex mu_;
  v1::Operation operation_ ABSL_GUARDED_BY(mu_);
  absl::Time started_ ABSL_GUARDED_BY(mu_) = absl::InfiniteFuture();
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::string last_line_ ABSL_GUARDED_BY(mu_);  // when stderr is no terminal
  std::thread animation_;
};

}  // namespace leasehold::cli
