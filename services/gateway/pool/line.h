// Who shares an instance: tenants with their shares, and the lines in which clients stand for a server.
#pragma once

#include <cstdint>
#include <list>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "services/gateway/pgwire/error_fields.h"
#include "services/gateway/pool/dialer.h"
#include "services/gateway/pool/duration_histogram.h"
#include "services/gateway/pool/restraint.h"
#include "services/gateway/pool/server.h"

namespace leasehold::gateway {

struct Line;

// Somebody who stands in a line.
class ServerClient : public ServerUser {
 public:
  // Its turn: `server` is its own until it gives it back.
  virtual void OnServer(Server& server) = 0;
  // It waited in vain; for the client to read.
  virtual void OnNoServer(const pgwire::ErrorFields& why) = 0;

 private:
  friend class InstancePool;
  Line* waiting_in_ = nullptr;
  std::list<ServerClient*>::iterator place_;
  absl::Duration since_;
};

// What a tenant's clients have had of the pool, since it began. Written and copied on the loop.
struct Tally {
  uint64_t hits = 0;       // transactions that found a server of theirs idle
  uint64_t waits = 0;      // … or waited for one
  uint64_t evictions = 0;  // servers of theirs that were closed for another tenant
  uint64_t bytes_in = 0;   // from clients
  uint64_t bytes_out = 0;  // to clients
  // Statements and batches, from the first message, with the wait for a server, to ReadyForQuery.
  DurationHistogram queries = {};

  void Add(const Tally& other) {
    hits += other.hits;
    waits += other.waits;
    evictions += other.evictions;
    bytes_in += other.bytes_in;
    bytes_out += other.bytes_out;
    queries.Add(other.queries);
  }
};

// One tenant on the instance, or its central database: what fairness is between.
struct Share {
  double weight = 1;
  int limit = 0;       // server connections at most
  int servers = 0;     // … that it has, with those being dialled
  int clients = 0;     // that are at it, with a server or without
  uint32_t turns = 0;  // Loop's
  Restraint::Party work;
  Tally tally;
  // Servers for its weight, if it had `more` of them.
  double Load(int more) const { return (servers + more) / weight; }
};

// One database and role: servers are interchangeable within a line.
struct Line {
  LoginTarget target;
  Share* share = nullptr;
  std::vector<Server*> idle;  // the one used last at the end
  std::list<ServerClient*> waiting;
  int servers = 0;   // alive, idle or not
  int dialling = 0;  // … on their way
  bool claims = false;
  bool held = false;  // there may be somebody waiting and a server idle, as its tenant has enough of them at work

  // Exponentially fading count of how often it was asked for, as of the pool's request `heat_at`: decides who gives
  // way.
  double heat = 0;
  uint64_t heat_at = 0;

  // After failures to connect: not before `retry_at`.
  absl::Duration retry_at = absl::ZeroDuration();
  int failures = 0;
  std::string failure;  // the last one's SQLSTATE; empty: it was not PostgreSQL who said so

  // What a client with these settings is told of the server, for those that log in while no server is at hand.
  absl::flat_hash_map<SettingsPtr, SettingsPtr> greetings;
};

}  // namespace leasehold::gateway
