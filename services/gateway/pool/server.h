// One connection to a PostgreSQL server, logged in as a tenant's role, on its loop.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "services/gateway/pool/loop.h"
#include "services/gateway/pool/setting_table.h"
#include "services/gateway/pool/statement.h"
#include "services/gateway/pool/transport.h"

namespace leasehold::gateway {

// Names a running query of one backend in a CancelRequest.
struct BackendKey {
  uint32_t process_id = 0;
  uint32_t secret = 0;
};

class InstancePool;
class Server;
struct Line;

// Whoever has a server in hand: a session, or the pool for an errand of its own.
class ServerUser {
 public:
  virtual ~ServerUser() = default;
  // The server has something to say, or takes bytes again.
  virtual void OnServerReady(Server& server) = 0;
};

// One loop. Owned by its pool.
class Server final : public Loop::Watcher {
 public:
  // `m`: nobody else's, ever, as an address may be.
  Server(InstancePool& p, Line& l, Transport t, BackendKey k, uint64_t m)
      : pool(p), line(l), key(k), mark(m), transport_(std::move(t)) {}

  // False: the server has gone. Otherwise `bytes` are sent, or kept until it takes them.
  bool Send(std::string_view bytes);
  bool Flush();
  // For messages made in place: append to it, then Flush.
  std::string& outbox() { return outbox_; }
  // It does not keep up: give it no more.
  bool congested() const { return !outbox_.empty() && !writable_; }

  Transport::Result Read(std::span<char> into);
  // A Read may find something.
  bool readable() const { return readable_; }

  // True if `statement` is prepared, not before the mark `since`. One that is older counts as Stale() from now on.
  bool HasPrepared(const StatementPtr& statement, uint64_t since);
  // `statement` is there but will not do any more; it has to be closed before it is prepared again.
  void Stale(const StatementPtr& statement);
  bool TakeStale(const StatementPtr& statement);

  // A ParameterStatus of its.
  void NoteParameter(const std::string& name, const std::string& value);

  Transport& transport() { return transport_; }
  void OnReady(uint32_t events) override;
  uint32_t* Account() override;

  InstancePool& pool;
  Line& line;
  const BackendKey key;
  const uint64_t mark;
  ServerUser* user = nullptr;  // none: idle, or closing

  // What the session before last left is what the next one finds: so this is kept count of.
  SettingsPtr applied;     // set by us on behalf of a client
  SettingsPtr parameters;  // as reported by ParameterStatus
  PreparedSet prepared;
  uint64_t unnamed = 0;       // who prepared the unnamed statement: a session's mark for it; 0: nobody
  bool sql_prepared = false;  // by SQL's PREPARE, under a name of the client's
  std::string partial;        // what has come of a message
  std::string batch;          // what the client has sent of its batch, as it sent it, if that is kept

  absl::Duration opened;  // of Loop::now()
  absl::Duration idle_since;
  int cancels = 0;       // CancelRequests under way
  bool working = false;  // for its user: counted by the restraint, since …
  absl::Duration working_since;
  bool released = false;  // given back while a cancel was under way
  bool unclean = false;   // … and has to be cleaned up first
  bool spoke = false;     // … and what it said has been lost
  bool closing = false;   // off the books of its line; counts until its end
  bool goes_on = false;   // … and has answered something since

 private:
  Transport transport_;
  std::string outbox_;
  std::vector<StatementPtr> stale_;
  bool readable_ = true;
  bool writable_ = true;
  bool hung_up_ = false;  // the end of the stream is told once: read up to it
};

}  // namespace leasehold::gateway
