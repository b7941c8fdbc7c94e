#include "services/gateway/pool/transport.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace leasehold::gateway {
namespace {

// A peer that takes nothing for so long has gone; the kernel's own patience is a quarter of an hour.
constexpr int kUserTimeoutMillis = 30'000;

// A client that says nothing for so long is accepted all the same, and has its log-in's time from then on.
constexpr int kDeferSeconds = 1;

void Set(int fd, int level, int name, int value) { setsockopt(fd, level, name, &value, sizeof(value)); }

void Prepare(int fd) {
  Set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  Set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  Set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, kUserTimeoutMillis);
}

bool WouldBlock() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

}  // namespace

Transport::Transport(int fd) : fd_(fd) {
  if (fd_ < 0) return;
  fcntl(fd_, F_SETFL, fcntl(fd_, F_GETFL) | O_NONBLOCK);
  fcntl(fd_, F_SETFD, FD_CLOEXEC);
  Prepare(fd_);
}

Transport Transport::Accepted(int fd) {
  Transport transport;
  transport.fd_ = fd;
  return transport;
}

void Transport::PrepareListener(int fd) {
  Prepare(fd);
  Set(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, kDeferSeconds);
}

Transport::Transport(Transport&& other) noexcept : fd_(std::exchange(other.fd_, -1)), tls_(std::move(other.tls_)) {}

Transport& Transport::operator=(Transport&& other) noexcept {
  if (this == &other) return *this;
  Close();
  fd_ = std::exchange(other.fd_, -1);
  tls_ = std::move(other.tls_);
  return *this;
}

Transport::Result Transport::Read(std::span<char> into) {
  if (fd_ < 0) return {.closed = true};
  if (!tls_) {
    const ssize_t count = recv(fd_, into.data(), into.size(), 0);
    if (count > 0) return {.bytes = static_cast<size_t>(count)};
    return {.closed = count == 0 || !WouldBlock()};
  }
  ERR_clear_error();
  size_t count = 0;
  const int done = SSL_read_ex(tls_.get(), into.data(), into.size(), &count);
  if (done == 1) return {.bytes = count};
  const int why = SSL_get_error(tls_.get(), done);
  return {.closed = why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE};
}

Transport::Result Transport::Write(std::string_view from) {
  if (fd_ < 0) return {.closed = true};
  if (!tls_) {
    const ssize_t count = send(fd_, from.data(), from.size(), MSG_NOSIGNAL);
    if (count >= 0) return {.bytes = static_cast<size_t>(count)};
    return {.closed = !WouldBlock()};
  }
  ERR_clear_error();
  size_t count = 0;
  const int done = SSL_write_ex(tls_.get(), from.data(), from.size(), &count);
  if (done == 1) return {.bytes = count};
  const int why = SSL_get_error(tls_.get(), done);
  return {.closed = why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE};
}

void Transport::BeginTls(SSL_CTX* context, bool as_server) {
  tls_.reset(SSL_new(context));
  SSL_set_fd(tls_.get(), fd_);
  // Idle connections keep no TLS buffers; a write may be tried again from another buffer that holds the same bytes.
  SSL_set_mode(tls_.get(),
               SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  if (as_server) {
    SSL_set_accept_state(tls_.get());
  } else {
    SSL_set_connect_state(tls_.get());
  }
}

Transport::Want Transport::Handshake() {
  ERR_clear_error();
  const int done = SSL_do_handshake(tls_.get());
  if (done == 1) return Want::kNothing;
  switch (SSL_get_error(tls_.get(), done)) {
    case SSL_ERROR_WANT_READ:
      return Want::kRead;
    case SSL_ERROR_WANT_WRITE:
      return Want::kWrite;
    default:
      return Want::kFailed;
  }
}

bool Transport::HungUp() const {
  pollfd peer{.fd = fd_, .events = POLLRDHUP, .revents = 0};
  return poll(&peer, 1, 0) > 0;
}

void Transport::ShutdownWrite() {
  if (fd_ >= 0) shutdown(fd_, SHUT_WR);
}

void Transport::Reset() {
  const linger at_once = {.l_onoff = 1, .l_linger = 0};
  if (fd_ >= 0) setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
  Close();
}

void Transport::Close() {
  tls_.reset();
  if (fd_ >= 0) close(std::exchange(fd_, -1));
}

}  // namespace leasehold::gateway
