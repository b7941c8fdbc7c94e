// A further gateway of a running stack, in the test's own hands: nobody else starts it again.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "common/localserver/localserver.h"
#include "leasehold/v1/config.pb.h"
#include "tests/stack/stack.h"

namespace leasehold::testing {

// Stopped when it goes. One thread.
class Gateway {
 public:
  using Change = std::function<void(v1::Config&)>;

  // Ready when this returns. `change`: of the stack's configuration, in which the addresses are others.
  explicit Gateway(const Stack& stack, const Change& change = [](v1::Config&) {});
  ~Gateway();
  Gateway(const Gateway&) = delete;
  Gateway& operator=(const Gateway&) = delete;

  const std::string& grpc() const { return grpc_; }
  const std::string& sql() const { return sql_; }
  const std::string& http() const { return http_; }
  bool Running() { return process_->Running(); }
  std::string config() const { return base_ + ".yaml"; }  // its file
  // SIGTERM, and once it has ended another one at the same addresses, ready when this returns. `meanwhile` is called
  // while there is none. Returns how the old one ended: 0.
  int Restart(const std::function<void()>& meanwhile = [] {});
  std::string Log() const;

 private:
  void Start();

  const std::string grpc_;
  const std::string sql_;
  const std::string http_;
  std::string base_;  // of its files' names
  std::unique_ptr<localserver::ChildProcess> process_;
};

}  // namespace leasehold::testing
