#include "bench/load/idle_clients.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <array>

#include "absl/time/clock.h"

namespace leasehold::bench {
namespace {

constexpr int kAtOnce = 64;

}  // namespace

IdleClients::IdleClients(Target target) : target_(std::move(target)), epoll_(epoll_create1(EPOLL_CLOEXEC)) {}

IdleClients::~IdleClients() {
  clients_.clear();
  close(epoll_);
}

template <typename Begin>
int IdleClients::EachOf(size_t count, SqlClient::Event wanted, absl::Duration patience, Begin begin) {
  const absl::Time end = absl::Now() + patience;
  size_t next = 0;
  int under_way = 0;
  int succeeded = 0;
  std::array<epoll_event, 256> events;
  while (next < count || under_way > 0) {
    for (; next < count && under_way < kAtOnce; ++next) under_way += begin(*clients_[next]) ? 1 : 0;
    if (absl::Now() >= end) {
      errors_["unfinished"] += under_way + static_cast<int64_t>(count - next);
      break;
    }
    const int ready = epoll_wait(epoll_, events.data(), events.size(), 10);
    for (int i = 0; i < ready; ++i) {
      SqlClient& client = *clients_[events[static_cast<size_t>(i)].data.u64];
      const bool was_under_way =
          client.state() == SqlClient::State::kConnecting || client.state() == SqlClient::State::kRunning;
      const SqlClient::Event event = client.OnEvent();
      if (event == SqlClient::Event::kNothing) continue;
      if (was_under_way) --under_way;
      if (client.failure().empty() && event == wanted) {
        ++succeeded;
      } else {
        ++errors_[client.failure()];
      }
    }
  }
  return succeeded;
}

int IdleClients::Connect(int count, absl::Duration patience) {
  for (int i = 0; i < count; ++i) {
    clients_.push_back(std::make_unique<SqlClient>(epoll_, clients_.size(), keys_));
  }
  return EachOf(clients_.size(), SqlClient::Event::kReady, patience, [this](SqlClient& client) {
    client.Connect(target_);
    if (!client.failed_at_once()) return true;
    client.OnEvent();
    ++errors_[client.failure()];
    return false;
  });
}

int IdleClients::AskEach(const std::string& sql, absl::Duration patience) {
  return EachOf(clients_.size(), SqlClient::Event::kAnswer, patience, [&sql](SqlClient& client) {
    if (client.state() != SqlClient::State::kReady) return false;
    client.Query(sql);
    return true;
  });
}

}  // namespace leasehold::bench
