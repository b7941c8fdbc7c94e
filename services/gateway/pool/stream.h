// A TCP connection, with or without TLS. One loop; at most one read and one write at a time.
#pragma once

#include <asio/as_tuple.hpp>
#include <asio/awaitable.hpp>
#include <asio/deferred.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/ssl/context.hpp>
#include <asio/ssl/stream.hpp>
#include <memory>
#include <string_view>
#include <system_error>
#include <utility>

namespace leasehold::gateway {

// `co_await x(…, kAwait)` gives (error, results…) and allocates nothing of its own.
inline constexpr auto kAwait = asio::as_tuple(asio::deferred);

class Stream {
 public:
  explicit Stream(asio::ip::tcp::socket socket) : socket_(std::move(socket)) {}
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  asio::ip::tcp::socket& socket() { return socket_; }
  asio::any_io_executor executor() { return socket_.get_executor(); }
  bool tls() const { return tls_ != nullptr; }

  // Once connected: no delay, no blocking.
  void Prepare();

  // From now on all bytes go through TLS. `context` must outlive the stream.
  asio::awaitable<std::error_code> StartTls(asio::ssl::context& context, asio::ssl::stream_base::handshake_type side);

  template <typename Token>
  auto AsyncReadSome(asio::mutable_buffer into, Token&& token) {
    return asio::async_initiate<Token, void(std::error_code, size_t)>(
        [this](auto handler, asio::mutable_buffer buffer) {
          if (tls_) {
            tls_->async_read_some(buffer, std::move(handler));
          } else {
            socket_.async_read_some(buffer, std::move(handler));
          }
        },
        token, into);
  }

  template <typename Token>
  auto AsyncWriteSome(asio::const_buffer from, Token&& token) {
    return asio::async_initiate<Token, void(std::error_code, size_t)>(
        [this](auto handler, asio::const_buffer buffer) {
          if (tls_) {
            tls_->async_write_some(buffer, std::move(handler));
          } else {
            socket_.async_write_some(buffer, std::move(handler));
          }
        },
        token, from);
  }

  // Writes what the kernel takes at once and returns how much: usually all of it, for one system call and no
  // suspension. With TLS nothing.
  size_t TryWrite(std::string_view bytes, std::error_code& error);

  // All of `bytes`.
  asio::awaitable<std::error_code> Write(std::string_view bytes);

  void CancelPending();  // reads and writes end with operation_aborted; the connection stays usable
  void ShutdownWrite();
  void Close();  // idempotent

 private:
  asio::ip::tcp::socket socket_;
  std::unique_ptr<asio::ssl::stream<asio::ip::tcp::socket&>> tls_;
};

}  // namespace leasehold::gateway
