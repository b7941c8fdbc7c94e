// RAII and absl::Status over nats.c: connect once, publish, pull, key-value. Blocking calls are marked; none may be
// made from a gRPC reactor or an event loop. A lost server is ridden out by reconnecting for ever.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/telemetry/trace.h"

namespace leasehold::jetstream {

using Headers = std::map<std::string, std::string>;

// Of the header `traceparent`, in whatever case; none without a valid one.
Trace TraceOf(const Headers& headers);

struct StreamOptions {
  std::string name = {};
  std::vector<std::string> subjects = {};
  int replicas = 1;
  absl::Duration max_age = absl::ZeroDuration();  // zero: for ever
  int64_t max_messages_per_subject = -1;
  absl::Duration duplicate_window = absl::Minutes(2);  // for Nats-Msg-Id
};

struct ConsumerOptions {
  std::string stream = {};
  std::string durable = {};         // letters, digits, - and _
  std::string filter_subject = {};  // empty: all of the stream
  absl::Duration ack_wait = absl::Seconds(30);
  int max_ack_pending = 1000;
};

// One message taken by a PullConsumer. Acknowledge it exactly once, from any thread, after its effect is committed;
// dropped without, it comes again after ack_wait.
class Message {
 public:
  virtual ~Message() = default;
  virtual std::string_view subject() const = 0;
  virtual std::string_view payload() const = 0;
  virtual const Headers& headers() const = 0;  // at most 64, of at most 4 KiB each; names as they came
  virtual uint64_t stream_sequence() const = 0;
  virtual uint64_t deliveries() const = 0;     // 1 the first time
  virtual absl::Time stored_time() const = 0;  // by the server's clock
  virtual void Ack() = 0;
  virtual void Nak(absl::Duration delay) = 0;  // again after delay
  virtual void Term() = 0;                     // never again (it was parked)
  virtual void InProgress() = 0;               // restarts ack_wait
};

// Blocks. One thread.
class PullConsumer {
 public:
  virtual ~PullConsumer() = default;
  // Up to `max` messages, waiting at most `wait` for the first; an empty result when none came. UNAVAILABLE while NATS
  // is down. If stream or consumer were lost on the server, they are made again by the next Fetch.
  virtual absl::StatusOr<std::vector<std::unique_ptr<Message>>> Fetch(int max, absl::Duration wait) = 0;
};

// A key-value bucket with all its keys watched. Keys: letters, digits, `-`, `_`, `.`, `=`, `/`.
class KeyValue {
 public:
  virtual ~KeyValue() = default;
  virtual absl::Status Put(const std::string& key, std::string_view value) = 0;  // blocks until the server has it
  virtual absl::Status Delete(const std::string& key) = 0;                       // blocks
};

struct KeyValueOptions {
  std::string bucket = {};
  int replicas = 1;
  absl::Duration ttl = absl::ZeroDuration();  // of each entry since its last Put; zero: for ever
};

struct KeyValueWatch {
  // On a thread of the client: each present entry, then each change; value is nullopt for a deletion. An entry that
  // merely vanishes (its ttl ran out, the bucket was lost) is not announced.
  std::function<void(const std::string& key, std::optional<std::string_view> value)> on_entry = {};
  // After the last present entry, at the start and again each time the watch had to start over: after each
  // reconnection, and when the bucket was made anew.
  std::function<void()> on_synced = {};
};

// Where else a request goes when nobody has answered it for a while.
struct SecondTry {
  std::string subject = {};
  absl::Duration after = absl::Seconds(2);
};

// Answers requests until it is destroyed; then its handler is not running and will not run again.
class Responder {
 public:
  virtual ~Responder() = default;
};

// Any thread. What was made from a Client may outlive it, but is of no use any more.
class Client {
 public:
  struct Options {
    std::string url = {};
    std::string name = {};  // shown by the server: "gateway", "provisioner/identity"
    // OK when (re)connected, else why not; any thread, one call at a time, none once ~Client has begun.
    std::function<void(const absl::Status&)> on_state = {};
  };
  // Returns at once if the server is down and keeps trying; calls fail with UNAVAILABLE (NATS_UNAVAILABLE) until then.
  static absl::StatusOr<std::unique_ptr<Client>> Connect(Options options);
  virtual ~Client() = default;

  virtual bool connected() const = 0;
  virtual absl::Status EnsureStream(const StreamOptions& options) = 0;  // blocks; creates or updates
  // Blocks until the stream has stored it, at most some seconds. `message_id`: Nats-Msg-Id; empty for none. After
  // UNAVAILABLE it may have been stored all the same: publish again with the same id. INVALID_FIELD for a subject or
  // header that cannot be sent. A stream that EnsureStream made and the server lost is made again. The header
  // `traceparent`, if it is not among `headers`, is of the thread's trace.
  virtual absl::Status Publish(const std::string& subject, std::string_view payload, const Headers& headers,
                               const std::string& message_id) = 0;
  virtual absl::StatusOr<std::unique_ptr<PullConsumer>> Subscribe(const ConsumerOptions& options) = 0;  // blocks
  // Blocks. How many messages a durable consumer, of whatever process, has still to acknowledge: those that were not
  // delivered yet, and those that were. NOT_FOUND if the server does not know it.
  virtual absl::StatusOr<uint64_t> Pending(const std::string& stream, const std::string& durable) = 0;
  // Blocks. Makes the bucket if needed and starts the watch; destroying the KeyValue ends it.
  virtual absl::StatusOr<std::unique_ptr<KeyValue>> OpenKeyValue(const KeyValueOptions& options,
                                                                 KeyValueWatch watch) = 0;

  // Blocks until somebody has answered, outside JetStream: nothing is stored. NATS_UNAVAILABLE if nobody listens on the
  // subject, or nobody answered within `patience`. The thread's trace goes along as the header `traceparent`.
  virtual absl::StatusOr<std::string> Request(const std::string& subject, std::string_view payload,
                                              absl::Duration patience) = 0;
  // The same, and the first answer counts, whoever it is from: one that was asked first may stand still, or be slow.
  virtual absl::StatusOr<std::string> Request(const std::string& subject, std::string_view payload,
                                              absl::Duration patience, const SecondTry& second) = 0;
  // Each request goes to one of those that respond with the same `queue`; to each that has none (""). `handler` runs on
  // a thread of its own, one request at a time, at work for the request's trace.
  virtual absl::StatusOr<std::unique_ptr<Responder>> Respond(
      const std::string& subject, const std::string& queue,
      std::function<std::string(std::string_view request)> handler) = 0;
};

// The streams of DESIGN: made by whoever comes first.
StreamOptions TenantsStream(int replicas);       // TENANTS: tenants.>
StreamOptions ProvisioningStream(int replicas);  // PROVISIONING: provisioning.>

}  // namespace leasehold::jetstream
