#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <thread>
#include <utility>

#include "absl/log/absl_check.h"
#include "common/clock/clock.h"
#include "common/postgres/connect.h"
#include "common/postgres/errors.h"
#include "common/postgres/postgres.h"
#include "common/status/view.h"

namespace leasehold::postgres {
namespace {

constexpr absl::Duration kMinBackoff = absl::Milliseconds(100);
constexpr absl::Duration kMaxBackoff = absl::Seconds(5);

}  // namespace

struct Listener::Impl {
  ConnectOptions options;
  std::vector<std::string> channels;
  Handlers handlers;
  int stop_fd = eventfd(0, EFD_CLOEXEC);  // readable, and so for ever, once the listener goes
  std::thread thread;

  void Run() {
    Backoff backoff(kMinBackoff, kMaxBackoff);
    int attempt = 0;
    bool told = false;  // of the present loss
    while (!Stopping(absl::ZeroDuration())) {
      auto opened = OpenConnection(options, stop_fd);
      absl::Status lost = opened.status();
      if (opened.ok()) {
        bool listened = false;
        lost = Listen(*opened->connection, listened);
        if (listened) {
          attempt = 0;
          told = false;
        }
      }
      if (Stopping(absl::ZeroDuration())) return;
      if (!told && handlers.on_lost) handlers.on_lost(lost);
      told = true;
      if (Stopping(backoff.Wait(++attempt))) return;
    }
  }

  // Returns when the connection is lost or the listener stops; `listened` tells whether it ever worked.
  absl::Status Listen(pqxx::connection& connection, bool& listened) {
    try {
      for (const std::string& channel : channels) {
        connection.listen(channel, [this](const pqxx::notification& n) {
          if (handlers.on_notify) handlers.on_notify(n.channel, n.payload);
        });
      }
      listened = true;
      if (handlers.on_reconnect) handlers.on_reconnect();
      for (;;) {
        connection.get_notifs();
        if (!connection.is_open())
          return FromException(pqxx::broken_connection("the server closed the connection"), false);
        std::array<pollfd, 2> fds = {pollfd{.fd = connection.sock(), .events = POLLIN, .revents = 0},
                                     pollfd{.fd = stop_fd, .events = POLLIN, .revents = 0}};
        if (poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) return absl::InternalError("poll failed");
        if (fds[1].revents != 0) return absl::OkStatus();
      }
    } catch (const std::exception& error) {
      return FromException(error, connection.is_open());
    }
  }

  bool Stopping(absl::Duration wait) const {
    pollfd stop{.fd = stop_fd, .events = POLLIN, .revents = 0};
    return poll(&stop, 1, static_cast<int>(absl::ToInt64Milliseconds(wait))) > 0;
  }
};

Listener::Listener(ConnectOptions options, std::vector<std::string> channels, Handlers handlers)
    : impl_(new Impl{.options = std::move(options),
                     .channels = std::move(channels),
                     .handlers = std::move(handlers),
                     .thread = {}}) {
  ABSL_CHECK_GE(impl_->stop_fd, 0);
  impl_->thread = std::thread([impl = impl_.get()] { impl->Run(); });
}

Listener::~Listener() {
  eventfd_write(impl_->stop_fd, 1);
  impl_->thread.join();
  close(impl_->stop_fd);
}

}  // namespace leasehold::postgres
