// A Transport for coroutines on a Loop.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "services/gateway/pool/loop.h"
#include "services/gateway/pool/task.h"
#include "services/gateway/pool/transport.h"

namespace leasehold::gateway {

// One coroutine at a time; it is dropped before the wire, or with it.
class Wire final : private Loop::Watcher {
 public:
  explicit Wire(Transport transport) : transport_(std::move(transport)) {}
  ~Wire() { Leave(); }
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;

  // On `loop` from now on. What is awaited ends only there.
  void Enter(Loop& loop);
  void Leave();

  Transport& transport() { return transport_; }
  bool tls() const { return transport_.tls(); }

  // The first byte of what comes next, which stays; nullopt: the peer has gone. Without TLS only.
  Task<std::optional<char>> Peek();
  // 0: the peer has gone.
  Task<size_t> ReadSome(std::span<char> into);
  // All of `bytes`; false: the peer has gone.
  Task<bool> Write(std::string_view bytes);
  Task<bool> AcceptTls(SSL_CTX* context);

  // Before the coroutine is dropped, and another one goes on with the wire. False: in the middle of a write.
  bool Abandon();

  // For a loop of another kind, or none; the wire is closed then.
  Transport Release();

 private:
  void OnReady(uint32_t events) override;

  Transport transport_;
  Loop* loop_ = nullptr;
  bool readable_ = false;
  bool writable_ = true;
  bool hung_up_ = false;
  Signal ready_;
};

}  // namespace leasehold::gateway
