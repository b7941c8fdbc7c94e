// A connected TCP socket, in clear or through TLS, that never blocks.
#pragma once

#include <openssl/ssl.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

namespace leasehold::gateway {

// Owns the socket. One thread at a time; it may move from one to another between calls.
class Transport {
 public:
  // No delay, keep-alive, non-blocking. A negative `fd` makes a closed transport.
  explicit Transport(int fd = -1);
  // Accepted, non-blocking and close-on-exec, from a listener that was prepared: what it was given, it hands down.
  static Transport Accepted(int fd);
  // Clients are accepted when they have said something.
  static void PrepareListener(int fd);
  ~Transport() { Close(); }
  Transport(Transport&& other) noexcept;
  Transport& operator=(Transport&& other) noexcept;

  struct Result {
    size_t bytes = 0;
    bool closed = false;  // by the peer, or broken; with neither bytes nor this: would block
  };
  Result Read(std::span<char> into);
  // What the kernel takes at once; with TLS a call that took nothing must be repeated with the same bytes in front.
  Result Write(std::string_view from);

  // From now on all bytes go through TLS; `context` is kept alive. Call Handshake until it wants nothing.
  void BeginTls(SSL_CTX* context, bool as_server);
  enum class Want { kNothing, kRead, kWrite, kFailed };
  Want Handshake();
  // Read has more without the socket having any: TLS decrypts by the record.
  bool HasBuffered() const { return tls_ != nullptr && SSL_has_pending(tls_.get()) == 1; }

  bool tls() const { return tls_ != nullptr; }
  SSL* ssl() const { return tls_.get(); }
  int fd() const { return fd_; }
  bool open() const { return fd_ >= 0; }

  // The peer is gone, or will say no more; also while there is something to be read.
  bool HungUp() const;
  void ShutdownWrite();
  void Close();  // idempotent
  // The same, and the peer's next write fails.
  void Reset();

 private:
  struct FreeSsl {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };
  int fd_ = -1;
  std::unique_ptr<SSL, FreeSsl> tls_;
};

}  // namespace leasehold::gateway
