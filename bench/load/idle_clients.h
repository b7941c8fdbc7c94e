// Many clients that connect, perhaps ask one thing, and then only stay: what does each cost the server?
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "bench/load/scram_login.h"
#include "bench/load/sql_client.h"

namespace leasehold::bench {

// One thread.
class IdleClients {
 public:
  explicit IdleClients(Target target);
  ~IdleClients();
  IdleClients(const IdleClients&) = delete;
  IdleClients& operator=(const IdleClients&) = delete;

  // Connects `count` clients, at most 64 log-ins under way at once; returns when all are in or have failed, or after
  // `patience`. How many are in.
  int Connect(int count, absl::Duration patience);

  // Has each that is connected run `sql`, at most 64 at once. How many had an answer without an error.
  int AskEach(const std::string& sql, absl::Duration patience);

  // As SqlClient::failure() says; "unfinished" where patience ended.
  const std::map<std::string, int64_t>& errors() const { return errors_; }

 private:
  // `begin` starts one thing at a client; counts the clients at which `wanted` came of it.
  template <typename Begin>
  int EachOf(size_t count, SqlClient::Event wanted, absl::Duration patience, Begin begin);

  const Target target_;
  ScramKeys keys_;
  const int epoll_;
  std::vector<std::unique_ptr<SqlClient>> clients_;
  std::map<std::string, int64_t> errors_;
};

}  // namespace leasehold::bench
