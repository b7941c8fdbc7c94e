#include "common/daemon/bounded_stream.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>

#include "absl/time/clock.h"

namespace leasehold {

BoundedStream::BoundedStream(socket_t socket, int stop_fd, const Limits& limits)
    : socket_(socket),
      stop_fd_(stop_fd),
      limits_(limits),
      request_deadline_(absl::Now() + limits.request_patience),
      bytes_left_(limits.request_bytes) {}

bool BoundedStream::Await(short events, absl::Time deadline) const {
  std::array<pollfd, 2> fds = {pollfd{.fd = socket_, .events = events, .revents = 0},
                               pollfd{.fd = stop_fd_, .events = POLLIN, .revents = 0}};
  for (;;) {
    const double left = std::ceil(absl::ToDoubleMilliseconds(deadline - absl::Now()));
    if (left <= 0) return false;
    const int ready = poll(fds.data(), fds.size(), static_cast<int>(left));
    if (ready < 0 && errno == EINTR) continue;
    return ready > 0 && fds[1].revents == 0;
  }
}

bool BoundedStream::is_readable() const { return taken_ < buffered_ || Await(POLLIN, request_deadline_); }

bool BoundedStream::is_writable() const { return Await(POLLOUT, absl::Now() + limits_.answer_patience); }

ssize_t BoundedStream::read(char* to, size_t size) {
  if (taken_ == buffered_) {
    if (bytes_left_ == 0 || !Await(POLLIN, request_deadline_)) return -1;
    const ssize_t n = recv(socket_, buffer_.data(), std::min(buffer_.size(), bytes_left_), MSG_DONTWAIT);
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
  for (;;) {
    if (!Await(POLLOUT, answer_deadline_)) return -1;
    const ssize_t n = send(socket_, from, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n >= 0 || (errno != EAGAIN && errno != EINTR)) return n;
  }
}

}  // namespace leasehold
