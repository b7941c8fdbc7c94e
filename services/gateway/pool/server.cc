#include "services/gateway/pool/server.h"

#include "services/gateway/pool/instance_pool.h"

namespace leasehold::gateway {
namespace {

// An outbox that once held something big is not kept.
constexpr size_t kKeptOutbox = 4 * 1024;

}  // namespace

bool Server::Send(std::string_view bytes) {
  if (!outbox_.empty()) {
    outbox_.append(bytes);
    return Flush();
  }
  const Transport::Result result = transport_.Write(bytes);
  if (result.closed) return false;
  if (result.bytes == bytes.size()) return true;
  outbox_.assign(bytes.substr(result.bytes));
  return Flush();
}

bool Server::Flush() {
  while (!outbox_.empty()) {
    const Transport::Result result = transport_.Write(outbox_);
    if (result.closed) return false;
    if (result.bytes == 0) {
      writable_ = false;
      return true;
    }
    if (result.bytes < outbox_.size()) {
      outbox_.erase(0, result.bytes);
      continue;
    }
    if (outbox_.capacity() > kKeptOutbox) {
      std::string().swap(outbox_);
    } else {
      outbox_.clear();
    }
  }
  return true;
}

Transport::Result Server::Read(std::span<char> into) {
  const Transport::Result result = transport_.Read(into);
  // A short read has emptied the socket, and what comes later is told anew. Not so with TLS, which reads by the record.
  if (result.bytes == 0 || (result.bytes < into.size() && !transport_.tls())) readable_ = hung_up_;
  return result;
}

bool Server::HasPrepared(const StatementPtr& statement, uint64_t since) {
  const uint64_t at = prepared.Use(*statement);
  if (at == 0) return false;
  if (at >= since) return true;
  Stale(statement);
  return false;
}

void Server::Stale(const StatementPtr& statement) {
  if (prepared.Use(*statement) == 0) return;
  prepared.Remove(*statement);
  stale_.push_back(statement);
}

bool Server::TakeStale(const StatementPtr& statement) { return std::erase(stale_, statement) > 0; }

void Server::NoteParameter(const std::string& name, const std::string& value) {
  parameters = pool.settings().With(parameters, name, value);
}

uint32_t* Server::Account() { return &line.share->turns; }

void Server::OnReady(uint32_t events) {
  if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) hung_up_ = true;
  if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) readable_ = true;
  if ((events & EPOLLOUT) != 0) writable_ = true;
  if (user != nullptr) {
    user->OnServerReady(*this);
  } else {
    pool.OnIdleReady(*this);
  }
}

}  // namespace leasehold::gateway
