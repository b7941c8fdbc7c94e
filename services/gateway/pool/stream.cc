#include "services/gateway/pool/stream.h"

#include <asio/error.hpp>

namespace leasehold::gateway {

void Stream::Prepare() {
  std::error_code ignored;
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
  socket_.set_option(asio::socket_base::keep_alive(true), ignored);
  socket_.non_blocking(true, ignored);
}

asio::awaitable<std::error_code> Stream::StartTls(asio::ssl::context& context,
                                                  asio::ssl::stream_base::handshake_type side) {
  tls_ = std::make_unique<asio::ssl::stream<asio::ip::tcp::socket&>>(socket_, context);
  auto [error] = co_await tls_->async_handshake(side, kAwait);
  co_return error;
}

size_t Stream::TryWrite(std::string_view bytes, std::error_code& error) {
  error.clear();
  if (tls_ || bytes.empty()) return 0;
  const size_t written = socket_.write_some(asio::buffer(bytes), error);
  if (error == asio::error::would_block || error == asio::error::try_again) error.clear();
  return written;
}

asio::awaitable<std::error_code> Stream::Write(std::string_view bytes) {
  std::error_code error;
  bytes.remove_prefix(TryWrite(bytes, error));
  while (!error && !bytes.empty()) {
    auto [failed, written] = co_await AsyncWriteSome(asio::buffer(bytes), kAwait);
    error = failed;
    bytes.remove_prefix(written);
  }
  co_return error;
}

void Stream::CancelPending() {
  std::error_code ignored;
  socket_.cancel(ignored);
}

void Stream::ShutdownWrite() {
  std::error_code ignored;
  socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
}

void Stream::Close() {
  std::error_code ignored;
  socket_.close(ignored);
}

}  // namespace leasehold::gateway
