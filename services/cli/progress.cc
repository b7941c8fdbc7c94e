#include "services/cli/progress.h"

#include <algorithm>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "services/cli/show.h"

namespace leasehold::cli {

std::string Bar(int done, int total, int width) {
  const int filled = total <= 0 ? 0 : std::clamp(done, 0, total) * width / total;
  return absl::StrCat("[", std::string(filled, '#'), std::string(width - filled, '-'), "]");
}

std::string ProgressLine(const v1::Operation& operation, absl::Duration elapsed, int columns) {
  std::string line = absl::StrFormat("%s %s  %s %d/%d  %.1fs", Word(operation.kind()), operation.tenant(),
                                     Bar(operation.done(), operation.total(), 20), operation.done(), operation.total(),
                                     absl::ToDoubleSeconds(elapsed));
  if (const std::string written = WrittenOf(operation); !written.empty()) absl::StrAppend(&line, "  ", written);
  if (!operation.message().empty()) absl::StrAppend(&line, "  ", operation.message());
  const size_t room = static_cast<size_t>(std::max(20, columns - 1));
  if (DisplayWidth(line) > room) {
    while (DisplayWidth(line) >= room) {
      do {
        line.pop_back();
      } while (!line.empty() && (static_cast<unsigned char>(line.back()) & 0xC0) == 0x80);
    }
    line += "…";
  }
  return line;
}

std::string PlainLine(const v1::Operation& operation) {
  const int percent = PercentOf(operation);
  const std::string written = percent < 10 ? "" : absl::StrCat(percent / 10 * 10, "% written, ");
  return absl::StrCat(Word(operation.kind()), " ", operation.tenant(), ": ", operation.done(), "/", operation.total(),
                      " services, ", written, Word(operation.state()), operation.message().empty() ? "" : ": ",
                      operation.message());
}

Progress::Progress(const Terminal& terminal, bool quiet) : terminal_(terminal), quiet_(quiet) {
  if (terminal_.err && !quiet_) animation_ = std::thread([this] { Animate(); });
}

Progress::~Progress() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
  }
  if (animation_.joinable()) animation_.join();
}

void Progress::Update(const v1::Operation& operation) {
  if (quiet_) return;
  absl::MutexLock lock(&mu_);
  if (started_ == absl::InfiniteFuture()) started_ = absl::Now();
  operation_ = operation;
  if (terminal_.err) {
    Draw();
    return;
  }
  const std::string line = PlainLine(operation);
  if (line == last_line_) return;
  last_line_ = line;
  std::cerr << line << std::endl;
}

void Progress::Finish() {
  if (quiet_) return;
  absl::MutexLock lock(&mu_);
  if (terminal_.err && started_ != absl::InfiniteFuture()) {
    Draw();
    std::cerr << std::endl;
  }
  started_ = absl::InfiniteFuture();
}

void Progress::Animate() {
  absl::MutexLock lock(&mu_);
  auto stopping = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return stopping_; };
  while (!mu_.AwaitWithTimeout(absl::Condition(&stopping), absl::Milliseconds(100))) {
    if (started_ != absl::InfiniteFuture()) Draw();
  }
}

void Progress::Draw() {
  Colour colour = Colour::kPlain;
  if (operation_.state() == v1::OPERATION_STATE_SUCCEEDED) colour = Colour::kGreen;
  if (operation_.state() == v1::OPERATION_STATE_FAILED) colour = Colour::kRed;
  if (operation_.state() == v1::OPERATION_STATE_ABORTED) colour = Colour::kYellow;
  std::cerr << "\r\033[K"
            << terminal_.PaintError(colour, ProgressLine(operation_, absl::Now() - started_, terminal_.columns))
            << std::flush;
}

}  // namespace leasehold::cli
