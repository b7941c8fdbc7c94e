// A batch that has met a plan which DDL has overtaken is sent once more, with the statement prepared anew, and its
// client hears nothing of the first time. So it is if nothing of the batch had run, and if it tells the client of
// columns itself: a client that goes by an earlier Describe has to be told that the columns are others now, as
// PostgreSQL does.
#include <string>
#include <utility>

#include "services/gateway/pgwire/encode.h"
#include "services/gateway/pgwire/extended.h"
#include "services/gateway/session/session.h"

namespace leasehold::gateway {
namespace {

// Longer batches are not kept, and so not healed.
constexpr size_t kLongestBatch = 64 * 1024;
// The string is the server's, and goes on from batch to batch.
constexpr size_t kKept = 4 * 1024;

bool IsStep(char type) {
  switch (type) {
    case 'P':
    case 'B':
    case 'D':
    case 'E':
    case 'C':
    case 'H':
      return true;
    default:
      return false;
  }
}

}  // namespace

void Session::BeginBatch() {
  keeps_batch_ = !healed_ && exchange_.settled() && exchange_.transaction_status() == 'I';
  if (server_ == nullptr || server_->batch.empty()) return;
  if (server_->batch.capacity() > kKept) {
    std::string().swap(server_->batch);
  } else {
    server_->batch.clear();
  }
}

void Session::KeepStep(std::string_view bytes, const pgwire::Frame& frame) {
  const bool step = IsStep(frame.type);
  const bool neither = frame.type == 'H' || frame.type == 'd' || frame.type == 'c' || frame.type == 'f';
  if (!neither) batch_open_ = step;
  if (!keeps_batch_ || server_ == nullptr) return;
  keeps_batch_ = (step || frame.type == 'S') && bytes.size() == frame.size &&
                 server_->batch.size() + bytes.size() <= kLongestBatch;
  if (keeps_batch_) server_->batch.append(bytes);
}

// `from`: where the step is in the batch that has failed.
bool Session::WillBeTold(size_t from) const {
  std::string_view statement;
  std::string_view portal;
  const std::string_view batch = server_->batch;
  pgwire::Frame frame;
  for (size_t at = from; pgwire::ReadClientHeader(batch.substr(at), frame) == pgwire::Answer::kDone; at += frame.size) {
    const std::string_view body = batch.substr(at + pgwire::kHeaderSize, frame.size - pgwire::kHeaderSize);
    if (frame.type == 'B') {
      const auto names = pgwire::ReadBindNames(body);
      if (!names) return false;
      if (at == from) {
        statement = names->statement;
        portal = names->portal;
      } else if (names->portal == portal) {
        break;  // another portal of that name
      }
    } else if (frame.type == 'D') {
      const auto target = pgwire::ReadTarget(body);
      if (at == from || (target && target->name == (target->kind == 'S' ? statement : portal))) return true;
    } else if (frame.type == 'E' && at != from) {
      const auto executed = pgwire::ReadExecute(body);
      if (!executed || *executed == portal) break;  // its rows come before any more words
    }
  }
  // What it has prepared in this batch it has never been told of.
  for (size_t at = 0; at < from && pgwire::ReadClientHeader(batch.substr(at), frame) == pgwire::Answer::kDone;
       at += frame.size) {
    pgwire::BodyReader body(batch.substr(at + pgwire::kHeaderSize, frame.size - pgwire::kHeaderSize));
    if (frame.type == 'P' && body.CString() == statement) return true;
  }
  return false;
}

// True: the error is not for the client.
bool Session::Heal(std::string_view error, const Exchange::Verdict& verdict) {
  if (!verdict.failed) return false;
  const bool stale = pgwire::IsStalePlan(error);
  // Somebody dropped it behind our back.
  const bool gone = !stale && pgwire::ReadErrorFields(error).code == "26000";
  if (!stale && !gone) return false;
  if (stale) {
    server_->Stale(verdict.failed);
    verdict.failed->stale = pool_.NextMark();
  } else {
    server_->prepared.Remove(*verdict.failed);
  }
  const bool can =
      keeps_batch_ && !healed_ && verdict.repeatable && (stage_ == Stage::kServing || stage_ == Stage::kSettling);
  if (!can || (stale && !WillBeTold(verdict.failed_at))) {
    for (auto& [name, known] : statements_) {
      if (known.statement == verdict.failed) known.told = pool_.NextMark();
    }
    return false;
  }
  healed_ = true;
  stage_ = Stage::kHealing;
  parameters_.clear();
  inbox_.insert(0, server_->batch, verdict.failed_at);
  if (!exchange_.HushSync()) {
    pgwire::Sync(server_->outbox());
    exchange_.Sent('S', Exchange::Audience::kNobody);
    server_->Flush();  // if the server has gone, that will be told
  }
  return true;
}

void Session::Healed() {
  stage_ = Stage::kServing;
  if (std::exchange(cancelled_, false)) refusal_ = Cancelled();
  Resume();
}

}  // namespace leasehold::gateway
