#include "common/daemon/bounded_stream.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>

#include "absl/time/clock.h"

namespace leasehold {

BoundedStream::BoundedStream(socket_t socket, int stop_fd, Crowd::Guest& guest, const Limits& limits)
    : socket_(socket),
      stop_fd_(stop_fd),
      guest_(guest),
      limits_(limits),
      request_deadline_(absl::Now() + limits.request_patience),
      bytes_left_(limits.request_bytes) {}

bool BoundedStream::Await(short events, absl::Time deadline) const {
  std::array<pollfd, 2> fds = {pollfd{.fd = socket_, .events = events, .revents = 0},
                               pollfd{.fd = stop_fd_, .events = POLLIN, .revents = 0}};
  // What is there already need not be waited for.
  for (bool waits = false;; waits = true) {
    const double left = std::ceil(absl::ToDoubleMilliseconds(deadline - absl::Now()));
    if (left <= 0) return false;
    if (waits) guest_.Waits();
    const int ready = poll(fds.data(), fds.size(), waits ? static_cast<int>(left) : 0);
    if (waits) guest_.GoesOn();
    if (ready == 0 && !waits) continue;
    if (ready < 0 && errno == EINTR) continue;
    return ready > 0 && fds[1].revents == 0;
  }
}

BoundedStream::~BoundedStream() {
  if (tls_ == nullptr || SSL_is_init_finished(tls_.get()) == 0) return;
  SSL_shutdown(tls_.get());  // says good-bye, and waits for no answer
  ERR_clear_error();
}

bool BoundedStream::AwaitWanted(int done, absl::Time deadline) const {
  const int wanted = SSL_get_error(tls_.get(), done);
  ERR_clear_error();
  if (wanted == SSL_ERROR_WANT_READ) return Await(POLLIN, deadline);
  return wanted == SSL_ERROR_WANT_WRITE && Await(POLLOUT, deadline);
}

bool BoundedStream::AcceptTls(SSL_CTX* context) {
  tls_.reset(SSL_new(context));
  fcntl(socket_, F_SETFL, fcntl(socket_, F_GETFL) | O_NONBLOCK);
  SSL_set_fd(tls_.get(), socket_);
  for (;;) {
    const int done = SSL_accept(tls_.get());
    if (done == 1) return true;
    if (!AwaitWanted(done, request_deadline_)) return false;
  }
}

ssize_t BoundedStream::Receive() {
  const size_t most = std::min(buffer_.size(), bytes_left_);
  if (tls_ == nullptr) {
    return Await(POLLIN, request_deadline_) ? recv(socket_, buffer_.data(), most, MSG_DONTWAIT) : -1;
  }
  for (;;) {
    size_t count = 0;
    const int done = SSL_read_ex(tls_.get(), buffer_.data(), most, &count);
    if (done == 1) return static_cast<ssize_t>(count);
    if (!AwaitWanted(done, request_deadline_)) return -1;
  }
}

ssize_t BoundedStream::Send(const char* from, size_t size) {
  for (;;) {
    if (tls_ != nullptr) {
      size_t count = 0;
      const int done = SSL_write_ex(tls_.get(), from, size, &count);
      if (done == 1) return static_cast<ssize_t>(count);
      if (!AwaitWanted(done, answer_deadline_)) return -1;
      continue;
    }
    if (!Await(POLLOUT, answer_deadline_)) return -1;
    const ssize_t n = send(socket_, from, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n >= 0 || (errno != EAGAIN && errno != EINTR)) return n;
  }
}

bool BoundedStream::is_readable() const {
  return taken_ < buffered_ || (tls_ != nullptr && SSL_has_pending(tls_.get()) == 1) ||
         Await(POLLIN, request_deadline_);
}

bool BoundedStream::is_writable() const { return Await(POLLOUT, absl::Now() + limits_.answer_patience); }

ssize_t BoundedStream::read(char* to, size_t size) {
  if (taken_ == buffered_) {
    if (bytes_left_ == 0) return -1;
    const ssize_t n = Receive();
    if (n <= 0) return n;
    bytes_left_ -= static_cast<size_t>(n);
    buffered_ = static_cast<size_t>(n);
    taken_ = 0;
  }
  const size_t n = std::min(size, buffered_ - taken_);
  memcpy(to, buffer_.data() + taken_, n);
  taken_ += n;
  return static_cast<ssize_t>(n);
}

ssize_t BoundedStream::write(const char* from, size_t size) {
  if (answer_deadline_ == absl::InfinitePast()) answer_deadline_ = absl::Now() + limits_.answer_patience;
  return Send(from, size);
}

}  // namespace leasehold
