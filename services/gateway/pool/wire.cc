#include "services/gateway/pool/wire.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>

namespace leasehold::gateway {

void Wire::Enter(Loop& loop) {
  loop_ = &loop;
  readable_ = true;  // mostly so, and soon found out: a client is accepted when it has said something
  loop.Watch(transport_.fd(), *this);
}

void Wire::Leave() {
  if (loop_ == nullptr || !transport_.open()) return;
  loop_->Forget(transport_.fd(), *this);
  loop_ = nullptr;
}

void Wire::OnReady(uint32_t events) {
  if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) hung_up_ = readable_ = writable_ = true;
  if ((events & EPOLLIN) != 0) readable_ = true;
  if ((events & EPOLLOUT) != 0) writable_ = true;
  ready_.Notify();
}

Task<std::optional<char>> Wire::Peek() {
  while (true) {
    while (!readable_) co_await ready_;
    char first = 0;
    const ssize_t count = recv(transport_.fd(), &first, 1, MSG_PEEK);
    if (count == 1) co_return first;
    if (count == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) co_return std::nullopt;
    readable_ = false;
  }
}

Task<size_t> Wire::ReadSome(std::span<char> into) {
  while (true) {
    while (!readable_) co_await ready_;
    const Transport::Result result = transport_.Read(into);
    // A socket that had less than was asked for has no more; of one that hung up, the end is still to be read.
    if (!hung_up_ && !tls() && result.bytes < into.size()) readable_ = false;
    if (result.bytes > 0) co_return result.bytes;
    if (result.closed) co_return 0;
    readable_ = false;
  }
}

Task<bool> Wire::Write(std::string_view bytes) {
  while (!bytes.empty()) {
    const Transport::Result result = transport_.Write(bytes);
    if (result.closed) co_return false;
    bytes.remove_prefix(result.bytes);
    if (result.bytes > 0) continue;
    writable_ = false;
    while (!writable_) co_await ready_;
  }
  co_return true;
}

Task<bool> Wire::AcceptTls(SSL_CTX* context) {
  transport_.BeginTls(context, true);
  while (true) {
    switch (transport_.Handshake()) {
      case Transport::Want::kNothing:
        readable_ = true;  // what came behind the handshake may have been read with it
        co_return true;
      case Transport::Want::kRead:
        readable_ = false;
        while (!readable_) co_await ready_;
        break;
      case Transport::Want::kWrite:
        writable_ = false;
        while (!writable_) co_await ready_;
        break;
      case Transport::Want::kFailed:
        co_return false;
    }
  }
}

bool Wire::Abandon() {
  ready_.Forget();
  return writable_;
}

Transport Wire::Release() {
  Leave();
  return std::move(transport_);
}

}  // namespace leasehold::gateway
