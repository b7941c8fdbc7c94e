#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

#include "absl/log/absl_check.h"
#include "common/daemon/daemon.h"

namespace leasehold {

SignalWaiter::SignalWaiter() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  ABSL_CHECK_EQ(pthread_sigmask(SIG_BLOCK, &signals, nullptr), 0);
  signal(SIGPIPE, SIG_IGN);
  signal_fd_ = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
  wake_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  ABSL_CHECK(signal_fd_ >= 0 && wake_fd_ >= 0) << "no file descriptor left";
}

SignalWaiter::~SignalWaiter() {
  close(signal_fd_);
  close(wake_fd_);
}

int SignalWaiter::Wait() {
  std::array<pollfd, 2> fds = {pollfd{.fd = signal_fd_, .events = POLLIN, .revents = 0},
                               pollfd{.fd = wake_fd_, .events = POLLIN, .revents = 0}};
  for (;;) {
    if (poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) return 0;
    signalfd_siginfo info = {};
    if (read(signal_fd_, &info, sizeof info) == sizeof info) return static_cast<int>(info.ssi_signo);
    eventfd_t count = 0;
    if (eventfd_read(wake_fd_, &count) == 0) return 0;
  }
}

void SignalWaiter::Wake() { eventfd_write(wake_fd_, 1); }

}  // namespace leasehold
