#include "services/gateway/pool/dial.h"

#include <asio/connect.hpp>
#include <asio/ip/address.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/this_coro.hpp>
#include <format>
#include <string>

#include "common/status/error.h"
#include "services/gateway/pgwire/encode.h"

namespace leasehold::gateway {
namespace {

using asio::ip::tcp;

absl::Status Failed(std::string_view what, const std::error_code& error) {
  return absl::UnavailableError(std::format("{}: {}", what, error.message()));
}

asio::awaitable<absl::Status> Connect(const Address& address, tcp::socket& socket) {
  std::error_code error;
  const asio::ip::address numeric = asio::ip::make_address(address.host, error);
  if (!error) {
    auto [failed] = co_await socket.async_connect({numeric, static_cast<asio::ip::port_type>(address.port)}, kAwait);
    error = failed;
  } else {
    tcp::resolver resolver(socket.get_executor());
    auto [unresolved, found] = co_await resolver.async_resolve(address.host, std::to_string(address.port), kAwait);
    if (unresolved) co_return Failed("resolve", unresolved);
    auto [failed, endpoint] = co_await asio::async_connect(socket, found, kAwait);
    error = failed;
  }
  co_return error ? Failed("connect", error) : absl::OkStatus();
}

}  // namespace

absl::StatusOr<TlsMode> ParseTlsMode(std::string_view text) {
  if (text == "disable") return TlsMode::kDisable;
  if (text == "prefer" || text.empty()) return TlsMode::kPrefer;
  if (text == "require") return TlsMode::kRequire;
  return InvalidField("sslmode", text, "disable, prefer, require");
}

asio::awaitable<absl::StatusOr<std::unique_ptr<Stream>>> Dial(const Address& address, SSL_CTX* tls) {
  const auto loop = co_await asio::this_coro::executor;
  tcp::socket socket(loop);
  if (absl::Status connected = co_await Connect(address, socket); !connected.ok()) co_return connected;
  std::error_code error;
  const int fd = socket.release(error);
  if (error) co_return Failed("connect", error);
  auto stream = std::make_unique<Stream>(loop, fd);
  if (address.tls == TlsMode::kDisable) co_return stream;

  std::string request;
  pgwire::SslRequestPacket(request);
  if ((error = co_await stream->Write(request))) co_return Failed("SSLRequest", error);
  // One byte and no more, so that nothing sent in clear can pass for a part of what TLS protects.
  char answer = 0;
  const auto [unread, count] = co_await stream->ReadSome({&answer, 1});
  if (unread) co_return Failed("SSLRequest", unread);
  if (answer == 'S') {
    if ((error = co_await stream->StartTls(tls, false))) co_return Failed("TLS", error);
    co_return stream;
  }
  if (address.tls == TlsMode::kRequire) co_return absl::UnavailableError("the server does not offer TLS");
  co_return stream;
}

}  // namespace leasehold::gateway
