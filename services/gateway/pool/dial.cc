#include "services/gateway/pool/dial.h"

#include <asio/connect.hpp>
#include <asio/ip/address.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/this_coro.hpp>
#include <format>
#include <memory>
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

asio::awaitable<absl::Status> Encrypt(const Address& address, const tls::Credentials& anybody, Stream& stream) {
  // Kept while the connection is made from it; the newest there is.
  const std::shared_ptr<const tls::Credentials> believed = address.believes ? address.believes->Get() : nullptr;
  if (!believed && address.tls >= TlsMode::kVerifyCa) co_return absl::InternalError("no CA to verify the server by");
  const auto error = co_await stream.StartTls((believed ? *believed : anybody).context(), [&address](SSL* ssl) {
    tls::AskForHost(ssl, address.host);
    if (address.tls == TlsMode::kVerifyFull) tls::ExpectHost(ssl, address.host);
  });
  if (!error) co_return absl::OkStatus();
  const long verdict = SSL_get_verify_result(stream.transport().ssl());
  if (!believed || verdict == X509_V_OK) co_return Failed("TLS", error);
  co_return absl::UnavailableError(
      std::format("TLS: the server's certificate: {}", X509_verify_cert_error_string(verdict)));
}

}  // namespace

absl::StatusOr<TlsMode> ParseTlsMode(std::string_view text) {
  if (text == "disable") return TlsMode::kDisable;
  if (text == "prefer" || text.empty()) return TlsMode::kPrefer;
  if (text == "require") return TlsMode::kRequire;
  if (text == "verify-ca") return TlsMode::kVerifyCa;
  if (text == "verify-full") return TlsMode::kVerifyFull;
  return InvalidField("sslmode", text, "disable, prefer, require, verify-ca, verify-full");
}

absl::StatusOr<ChannelBinding> ParseChannelBinding(std::string_view text) {
  if (text == "disable") return ChannelBinding::kDisable;
  if (text == "prefer" || text.empty()) return ChannelBinding::kPrefer;
  if (text == "require") return ChannelBinding::kRequire;
  return InvalidField("channel_binding", text, "disable, prefer, require");
}

asio::awaitable<absl::StatusOr<std::unique_ptr<Stream>>> Dial(const Address& address, const tls::Credentials& anybody) {
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
    if (absl::Status status = co_await Encrypt(address, anybody, *stream); !status.ok()) co_return status;
    co_return stream;
  }
  if (address.tls >= TlsMode::kRequire) co_return absl::UnavailableError("the server does not offer TLS");
  co_return stream;
}

}  // namespace leasehold::gateway
