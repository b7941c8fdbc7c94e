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

struct Statement {
  std::string name;  // on servers
  std::string body;  // of its Parse, without the name: text, NUL, types
  pgwire::Effects effects;
};
using StatementPtr = std::shared_ptr<const Statement>;

// One loop.
class StatementTable {
 public:
  StatementPtr Intern(std::string_view body);

 private:
  absl::flat_hash_map<std::string, std::weak_ptr<const Statement>> statements_;  // by body
  uint64_t last_ = 0;
  size_t sweep_at_ = 256;
};

// What one server has prepared; the least recently used goes first.
class PreparedSet {
 public:
  // True if the server knows it; it counts as used now.
  bool Use(const Statement& statement);
  // Returns who has to go for it, so that there are no more than `most`, of `most_bytes` of text in all.
  std::vector<StatementPtr> Add(StatementPtr statement, size_t most, size_t most_bytes);
  void Remove(const Statement& statement);
  void Clear();
  size_t size() const { return by_statement_.size(); }
  size_t bytes() const { return bytes_; }

 private:
  std::list<StatementPtr> recent_;
  absl::flat_hash_map<const Statement*, std::list<StatementPtr>::iterator> by_statement_;
  size_t bytes_ = 0;  // of their text
};

}  // namespace leasehold::gateway
