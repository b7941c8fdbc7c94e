// The prepared statements and portals that the gateway itself keeps for a client: those of statements that it answers.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "services/gateway/pgwire/command.h"
#include "services/gateway/pgwire/extended.h"

namespace leasehold::gateway {

// What a command's parameters are bound to: text as the client sent it, nullopt for NULL.
struct Binding {
  std::optional<std::string> tenant = std::nullopt;
  bool is_local = false;
  bool binary_result = false;
};

// Shared by a statement and its portals.
using CommandPtr = std::shared_ptr<const pgwire::Command>;

struct Portal {
  CommandPtr command;
  Binding binding = {};
  bool done = false;  // executed: one more Execute gives no rows
};

// One loop.
class VirtualStatements {
 public:
  struct Statement {
    CommandPtr command;
    std::vector<uint32_t> types;  // what Describe says of parameters
  };

  // At most this many named ones, so that a client cannot fill our memory with them.
  static constexpr size_t kMost = 1'000;

  bool empty() const { return statements_.empty() && portals_.empty(); }
  bool full() const { return statements_.size() >= kMost || portals_.size() >= kMost; }

  void Prepare(std::string_view name, Statement statement) { statements_[std::string(name)] = std::move(statement); }
  const Statement* FindStatement(std::string_view name) const;
  void CloseStatement(std::string_view name);
  void CloseAllStatements() { statements_.clear(); }

  void Open(std::string_view name, Portal portal) { portals_.insert_or_assign(std::string(name), std::move(portal)); }
  Portal* FindPortal(std::string_view name);
  void ClosePortal(std::string_view name);
  void CloseAllPortals() { portals_.clear(); }

 private:
  std::map<std::string, Statement, std::less<>> statements_;
  std::map<std::string, Portal, std::less<>> portals_;
};

// Of a simple query, or of a Bind. The errors are the client's: wrong number of parameters, bad boolean.
struct BindFailure {
  std::string code;
  std::string message;
};
std::optional<BindFailure> BindCommand(const pgwire::Command& command, const pgwire::BindBody& bind, Binding& out);

}  // namespace leasehold::gateway
