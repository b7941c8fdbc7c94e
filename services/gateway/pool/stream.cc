#include "services/gateway/pool/stream.h"

#include <asio/error.hpp>

namespace leasehold::gateway {

using Descriptor = asio::posix::descriptor_base;

asio::awaitable<std::error_code> Stream::Wait(Descriptor::wait_type what) {
  auto [error] = co_await readiness_.async_wait(what, kAwait);
  co_return error;
}

asio::awaitable<std::error_code> Stream::StartTls(SSL_CTX* context, std::function<void(SSL*)> prepare) {
  transport_.BeginTls(context, false);
  prepare(transport_.ssl());
  while (true) {
    std::error_code error;
    switch (transport_.Handshake()) {
      case Transport::Want::kNothing:
        co_return std::error_code();
      case Transport::Want::kRead:
        error = co_await Wait(Descriptor::wait_read);
        break;
      case Transport::Want::kWrite:
        error = co_await Wait(Descriptor::wait_write);
        break;
      case Transport::Want::kFailed:
        error = std::make_error_code(std::errc::protocol_error);
        break;
    }
    if (error) co_return error;
  }
}

asio::awaitable<std::pair<std::error_code, size_t>> Stream::ReadSome(std::span<char> into) {
  while (true) {
    const Transport::Result result = transport_.Read(into);
    if (result.bytes > 0) co_return std::pair(std::error_code(), result.bytes);
    if (result.closed) co_return std::pair(std::error_code(asio::error::eof), size_t{0});
    if (const std::error_code error = co_await Wait(Descriptor::wait_read)) co_return std::pair(error, size_t{0});
  }
}

asio::awaitable<std::error_code> Stream::Write(std::string_view bytes) {
  while (!bytes.empty()) {
    const Transport::Result result = transport_.Write(bytes);
    if (result.closed) co_return std::error_code(asio::error::broken_pipe);
    bytes.remove_prefix(result.bytes);
    if (result.bytes > 0) continue;
    if (const std::error_code error = co_await Wait(Descriptor::wait_write)) co_return error;
  }
  co_return std::error_code();
}

void Stream::CancelPending() {
  std::error_code ignored;
  readiness_.cancel(ignored);
}

void Stream::Close() {
  if (readiness_.is_open()) readiness_.release();
  transport_.Close();
}

Transport Stream::Release() {
  if (readiness_.is_open()) readiness_.release();
  return std::move(transport_);
}

}  // namespace leasehold::gateway
