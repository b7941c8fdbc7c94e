// Prepared statements: one object for all clients that prepare the same text, and which of them a server knows.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "services/gateway/pgwire/effects.h"

namespace leasehold::gateway {

// Points in time are marks: numbers of the pool's that rise.
struct Statement {
  std::string name;  // on servers
  std::string body;  // of its Parse, without the name: text, NUL, types
  pgwire::Effects effects;
  // Some server was found to have prepared it for other columns than it gives now: what was prepared before may be as
  // old. 0: never. Its loop's.
  mutable uint64_t stale = 0;

  std::string_view sql() const { return std::string_view(body).substr(0, body.find('\0')); }
};
using StatementPtr = std::shared_ptr<const Statement>;

// One loop.
class StatementTable {
 public:
  // `reading`: the client's settings that decide what a text means when it is parsed, in any form; empty if it has set
  // none.
  StatementPtr Intern(std::string_view body, std::string_view reading);

 private:
  void Sweep();

  using ByBody = absl::flat_hash_map<std::string, std::weak_ptr<const Statement>>;
  absl::flat_hash_map<std::string, ByBody> statements_;  // by reading
  uint64_t last_ = 0;
  size_t entries_ = 0;  // at most, since the last sweep
  size_t sweep_at_ = 256;
};

// What one server has prepared; the least recently used goes first.
class PreparedSet {
 public:
  // When the server prepared it; 0 if it has not. It counts as used now.
  uint64_t Use(const Statement& statement);
  // Returns who has to go for it, so that there are no more than `most`, of `most_bytes` of text in all. `now`: a mark.
  std::vector<StatementPtr> Add(StatementPtr statement, uint64_t now, size_t most, size_t most_bytes);
  void Remove(const Statement& statement);
  void Clear();
  size_t size() const { return by_statement_.size(); }
  size_t bytes() const { return bytes_; }

 private:
  struct Prepared {
    StatementPtr statement;
    uint64_t at = 0;
  };
  std::list<Prepared> recent_;
  absl::flat_hash_map<const Statement*, std::list<Prepared>::iterator> by_statement_;
  size_t bytes_ = 0;  // of their text
};

}  // namespace leasehold::gateway
