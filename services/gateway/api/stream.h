// A server stream that any thread feeds.
#pragma once

#include <grpcpp/grpcpp.h>

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "common/status/error.h"
#include "common/status/grpc.h"

namespace leasehold::gateway {

// One call. Make it with Start(), give reactor() to gRPC, keep the shared_ptr as long as you want to Send. gRPC's own
// reference goes when the call is over, however it ends.
template <typename Response>
class Feed : public std::enable_shared_from_this<Feed<Response>> {
 public:
  // `on_over` runs once when the call is over (closed, cancelled, connection lost), on a gRPC thread; it must not
  // block.
  static std::shared_ptr<Feed> Start(std::function<void()> on_over = nullptr) {
    auto feed = std::shared_ptr<Feed>(new Feed(std::move(on_over)));
    feed->reactor_ = new Reactor(feed);
    return feed;
  }

  grpc::ServerWriteReactor<Response>* reactor() { return reactor_; }

  // Set once, before the reactor is given to gRPC.
  void OnOver(std::function<void()> on_over) { on_over_ = std::move(on_over); }

  // Set once, before the reactor is given to gRPC. Runs each time all that was sent has been written, on a gRPC thread;
  // must not block. For senders that wait for their reader.
  void OnDrained(std::function<void()> on_drained) { on_drained_ = std::move(on_drained); }

  // Any thread. Send() of each, without OnDrained in between.
  bool SendAll(std::vector<Response> messages) {
    absl::MutexLock lock(&mu_);
    if (over_ || closing_) return false;
    for (Response& message : messages) queue_.push_back(std::move(message));
    Pump();
    return true;
  }

  // Any thread. Queues; false if the call is over or closed. A queue of more than 10,000 messages closes the call with
  // RESOURCE_EXHAUSTED: the reader does not read.
  bool Send(Response message) {
    absl::MutexLock lock(&mu_);
    if (over_ || closing_) return false;
    if (queue_.size() >= kMaxQueue) {
      queue_.clear();
      closing_ = ToGrpc(Error(v1::REASON_TOO_MANY_CLIENTS, "the stream's reader is too slow"));
    } else {
      queue_.push_back(std::move(message));
    }
    Pump();
    return true;
  }

  // Any thread. Ends the call after what is queued was written.
  void Close(const absl::Status& status) {
    absl::MutexLock lock(&mu_);
    if (over_ || closing_) return;
    closing_ = ToGrpc(status);
    Pump();
  }

 private:
  static constexpr size_t kMaxQueue = 10'000;

  // Deletes itself in OnDone, as gRPC wants it.
  class Reactor : public grpc::ServerWriteReactor<Response> {
   public:
    explicit Reactor(std::shared_ptr<Feed> feed) : feed_(std::move(feed)) {}
    void OnWriteDone(bool ok) override { feed_->Written(ok); }
    void OnCancel() override { feed_->Cancelled(); }
    void OnDone() override {
      feed_->Over();
      delete this;
    }

   private:
    std::shared_ptr<Feed> feed_;
  };

  explicit Feed(std::function<void()> on_over) : on_over_(std::move(on_over)) {}

  void Written(bool ok) {
    bool drained = false;
    {
      absl::MutexLock lock(&mu_);
      writing_ = false;
      if (!ok) {
        queue_.clear();
        if (!closing_) closing_ = grpc::Status::CANCELLED;
      }
      Pump();
      drained = !writing_ && !closing_;
    }
    if (drained && on_drained_) on_drained_();
  }

  void Cancelled() {
    absl::MutexLock lock(&mu_);
    queue_.clear();
    if (!closing_) closing_ = grpc::Status::CANCELLED;
    Pump();
  }

  void Over() {
    std::function<void()> on_over;
    {
      absl::MutexLock lock(&mu_);
      over_ = true;
      reactor_ = nullptr;
      on_over = std::move(on_over_);
    }
    if (on_over) on_over();
  }

  void Pump() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (writing_ || finished_ || over_) return;
    if (!queue_.empty()) {
      current_ = std::move(queue_.front());
      queue_.pop_front();
      writing_ = true;
      reactor_->StartWrite(&current_);
    } else if (closing_) {
      finished_ = true;
      reactor_->Finish(*closing_);
    }
  }

  absl::Mutex mu_;
  std::function<void()> on_over_;
  std::function<void()> on_drained_;
  Reactor* reactor_ = nullptr;
  std::deque<Response> queue_ ABSL_GUARDED_BY(mu_);
  Response current_ ABSL_GUARDED_BY(mu_);
  std::optional<grpc::Status> closing_ ABSL_GUARDED_BY(mu_);
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  bool finished_ ABSL_GUARDED_BY(mu_) = false;
  bool over_ ABSL_GUARDED_BY(mu_) = false;
};

// The answer of a stream that ends before it began.
template <typename Response>
grpc::ServerWriteReactor<Response>* Refused(const absl::Status& why) {
  const auto stream = Feed<Response>::Start();
  stream->Close(why);
  return stream->reactor();
}

}  // namespace leasehold::gateway
