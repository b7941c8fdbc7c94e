#include "services/gateway/session/exchange.h"

#include <algorithm>
#include <utility>

#include "services/gateway/pgwire/encode.h"

namespace leasehold::gateway {
namespace {

// Places of what has been answered, before they are used again.
constexpr size_t kAnsweredKept = 64;

}  // namespace

void Exchange::Sent(char type, Audience audience, StatementPtr statement, std::string_view name) {
  refused_ |= audience == Audience::kNotErrors;
  if (copying_in_ && type != 'd' && type != 'c' && type != 'f' && type != 'H') {
    // PostgreSQL overlooks a Sync there; anything else ends the COPY with an error, and is not done.
    copying_in_ = type == 'S';
    return;
  }
  switch (type) {
    case 'Q':
    case 'F':
      if (skipping_) return;  // skipped by the server
      [[fallthrough]];
    case 'S':
      in_batch_ = ran_ = skipping_ = false;
      break;
    case 'B':
    case 'E':
      ran_ = true;
      [[fallthrough]];
    case 'P':
    case 'D':
    case 'C':
      in_batch_ = true;
      if (skipping_) return;
      break;
    case 'c':
    case 'f':
      copying_in_ = false;
      if (skipping_ || settled()) return;  // no COPY is going on
      type = kCopyEnd;
      break;
    default:  // Flush and COPY data are not answered
      return;
  }
  queue_.push_back({.type = type,
                    .audience = audience,
                    .statement = std::move(statement),
                    .text = std::string(name),
                    .at = mark_,
                    .block = IsSync(type) ? std::exchange(block_, pgwire::Block::kNone) : pgwire::Block::kNone});
}

void Exchange::Answered(std::string bytes) {
  if (skipping_) return;
  queue_.push_back({.type = kAnswer, .audience = Audience::kClient, .statement = nullptr, .text = std::move(bytes)});
}

void Exchange::AnsweredParse(StatementPtr statement, std::string_view name) {
  if (skipping_) return;
  queue_.push_back(
      {.type = kParsed, .audience = Audience::kClient, .statement = std::move(statement), .text = std::string(name)});
}

void Exchange::AnsweredClose(StatementPtr statement, std::string_view name) {
  if (skipping_) return;
  queue_.push_back(
      {.type = kClosed, .audience = Audience::kClient, .statement = std::move(statement), .text = std::string(name)});
}

void Exchange::Pop() {
  queue_[head_++] = {};
  if (head_ < queue_.size()) {
    // Of a client that always waits for something too.
    if (head_ >= kAnsweredKept && 2 * head_ >= queue_.size()) {
      queue_.erase(queue_.begin(), queue_.begin() + static_cast<ptrdiff_t>(head_));
      head_ = 0;
    }
    return;
  }
  queue_.clear();
  head_ = 0;
  if (queue_.capacity() > kAnsweredKept) queue_.shrink_to_fit();
}

void Exchange::TakeAnswers(std::string& out) {
  while (answer_due() || (head_ < queue_.size() && queue_[head_].type == kCopyEnd)) {
    if (queue_[head_].type == kParsed) {
      pgwire::ParseComplete(out);
    } else if (queue_[head_].type == kClosed) {
      pgwire::CloseComplete(out);
    } else {
      out.append(queue_[head_].text);
    }
    Pop();
  }
}

bool Exchange::HushSync() {
  if (settled()) return false;
  queue_[head_].audience = Audience::kNobody;
  return true;
}

void Exchange::Reset() {
  queue_.clear();
  head_ = 0;
  status_ = 'I';
  in_batch_ = ran_ = ran_well_ = skipping_ = failed_ = refused_ = copying_in_ = false;
  ended_ = true;
  block_ = pgwire::Block::kNone;
}

std::vector<pgwire::Block> Exchange::syncs_due() const {
  std::vector<pgwire::Block> blocks;
  for (size_t i = head_; i < queue_.size(); ++i) {
    if (IsSync(queue_[i].type) && queue_[i].audience != Audience::kNobody) blocks.push_back(queue_[i].block);
  }
  return blocks;
}

Exchange::Verdict Exchange::Step(char type) {
  if (head_ == queue_.size() || queue_[head_].type != type) {
    // Within a Query: its rows and tags. Else not the protocol, and the client's to judge.
    return {.pass = head_ == queue_.size() || queue_[head_].audience != Audience::kNobody};
  }
  const Verdict verdict{.pass = queue_[head_].audience != Audience::kNobody};
  ran_well_ |= type == 'B' || type == 'E';
  Pop();
  return verdict;
}

void Exchange::Skip(Verdict& verdict) {
  while (head_ < queue_.size() && queue_[head_].type != 'S') {
    Expected& skipped = queue_[head_];
    if (skipped.type == 'P' || skipped.type == kParsed || skipped.type == kClosed) {
      verdict.undone.push_back({.statement = std::move(skipped.statement),
                                .name = std::move(skipped.text),
                                .by_client = skipped.audience == Audience::kClient,
                                .on_server = skipped.type == kParsed,
                                .closed = skipped.type == kClosed});
    }
    Pop();
  }
  if (head_ == queue_.size()) skipping_ = true;
}

// COPY FROM STDIN swallows the Sync that a client sent behind its Execute; the client sends another after CopyDone.
void Exchange::ForgetSyncsOfCopy() {
  size_t kept = head_ + 1;
  size_t i = head_ + 1;
  for (; i < queue_.size() && queue_[i].type != kCopyEnd; ++i) {
    if (queue_[i].type == 'S') {
      in_batch_ = ran_ = true;
    } else {
      std::swap(queue_[kept++], queue_[i]);
    }
  }
  for (; i < queue_.size(); ++i) std::swap(queue_[kept++], queue_[i]);
  queue_.resize(kept);
}

Exchange::Verdict Exchange::Received(char type, char status) {
  const bool any = head_ < queue_.size();
  if (type == 'Z') {
    while (head_ < queue_.size() && !IsSync(queue_[head_].type)) Pop();
    Verdict verdict;
    if (head_ < queue_.size()) {
      verdict.pass = queue_[head_].audience != Audience::kNobody;
      Pop();
    }
    while (head_ < queue_.size() && queue_[head_].type == kCopyEnd) Pop();
    status_ = status;
    ended_ = true;
    ran_well_ = refused_ = copying_in_ = false;
    return verdict;
  }
  if (type == 'A' || type == 'N' || type == 'S') return {};
  if (std::exchange(ended_, false)) failed_ = false;
  switch (type) {
    case 'E': {
      failed_ = true;
      copying_in_ = false;
      Verdict verdict;
      if (!any) return verdict;
      const Expected& asked = queue_[head_];
      verdict.failed = asked.statement;
      verdict.failed_at = asked.at;
      verdict.own_error = asked.audience == Audience::kNobody;
      if (asked.type == 'Q' || asked.type == 'F') {
        verdict.pass = asked.audience == Audience::kClient;
        return verdict;
      }
      // A Parse of ours that fails is the answer to the client's Bind behind it.
      verdict.pass = asked.audience != Audience::kNotErrors;
      Skip(verdict);
      verdict.repeatable = status_ == 'I' && !ran_well_ && queue_.size() - head_ <= 1;
      return verdict;
    }
    case '1':
      return Step('P');
    case '2':
      return Step('B');
    case '3':
      return Step('C');
    case 'T':
    case 'n':
      return Step('D');
    case 'C':
    case 'I':
    case 's':
      return Step('E');
    case 'G':
      copying_in_ = std::none_of(queue_.begin() + static_cast<ptrdiff_t>(head_), queue_.end(),
                                 [](const Expected& sent) { return sent.type == kCopyEnd; });
      if (any && queue_[head_].type == 'E') ForgetSyncsOfCopy();
      return {};
    default:
      return {.pass = !any || queue_[head_].audience != Audience::kNobody};
  }
}

}  // namespace leasehold::gateway
