// A Transport on an asio loop, for what happens once a connection: dialling, TLS, logging in.
#pragma once

#include <asio/as_tuple.hpp>
#include <asio/awaitable.hpp>
#include <asio/deferred.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <functional>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>

#include "services/gateway/pool/transport.h"

namespace leasehold::gateway {

// `co_await x(…, kAwait)` gives (error, results…) and allocates nothing of its own.
inline constexpr auto kAwait = asio::as_tuple(asio::deferred);

// One loop; at most one read and one write at a time.
class Stream {
 public:
  Stream(const asio::any_io_executor& loop, int fd) : transport_(fd), readiness_(loop, fd) {}
  ~Stream() { Close(); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  asio::any_io_executor executor() { return readiness_.get_executor(); }
  Transport& transport() { return transport_; }
  bool tls() const { return transport_.tls(); }

  // As the client. `prepare` runs before the handshake.
  asio::awaitable<std::error_code> StartTls(SSL_CTX* context, std::function<void(SSL*)> prepare);
  // (error, count); never both zero.
  asio::awaitable<std::pair<std::error_code, size_t>> ReadSome(std::span<char> into);
  // All of `bytes`.
  asio::awaitable<std::error_code> Write(std::string_view bytes);

  asio::awaitable<std::error_code> WaitReadable() { return Wait(asio::posix::descriptor_base::wait_read); }

  // Waits that are under way end with operation_aborted; the connection stays usable.
  void CancelPending();
  void ShutdownWrite() { transport_.ShutdownWrite(); }
  void Close();  // idempotent

  // The connection, for a loop of another kind; this stream is closed then.
  Transport Release();

 private:
  asio::awaitable<std::error_code> Wait(asio::posix::descriptor_base::wait_type what);

  Transport transport_;
  asio::posix::stream_descriptor readiness_;  // does not own the socket
};

}  // namespace leasehold::gateway
