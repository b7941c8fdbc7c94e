#include "common/postgres/connect.h"

#include <poll.h>
#include <postgresql/libpq-fe.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <vector>

#include "absl/time/clock.h"
#include "common/postgres/errors.h"

namespace leasehold::postgres {
namespace {

using RawConnection = std::unique_ptr<PGconn, decltype(&PQfinish)>;

// libpq lets later entries win: before the connection string what it may override, behind it what it may not.
RawConnection StartConnecting(const ConnectOptions& options) {
  // Roles log in by password: looking for Kerberos credentials would be in vain.
  std::vector<const char*> names = {"application_name", "keepalives_idle",  "keepalives_interval",
                                    "keepalives_count", "tcp_user_timeout", "gssencmode",
                                    "dbname",           "client_encoding"};
  // Milliseconds: a server that has vanished with a statement on the way is noticed after 30 s, not a quarter of an
  // hour.
  std::vector<const char*> values = {
      options.application_name.c_str(), "30", "10", "3", "30000", "disable", options.dsn.c_str(), "UTF8"};
  if (!options.password.empty()) {
    names.push_back("password");
    values.push_back(options.password.reveal_c_str());
  }
  names.push_back(nullptr);
  values.push_back(nullptr);
  return {PQconnectStartParams(names.data(), values.data(), 1), PQfinish};
}

enum class Waited { kReady, kTimedOut, kInterrupted };

Waited WaitFor(int fd, short events, int interrupt_fd, absl::Time give_up) {
  std::array<pollfd, 2> fds = {pollfd{.fd = fd, .events = events, .revents = 0},
                               pollfd{.fd = interrupt_fd, .events = POLLIN, .revents = 0}};  // poll() skips -1
  for (;;) {
    const absl::Duration left = std::max(give_up - absl::Now(), absl::ZeroDuration());
    const int ready = poll(fds.data(), fds.size(),
                           static_cast<int>(absl::ToInt64Milliseconds(absl::Ceil(left, absl::Milliseconds(1)))));
    if (ready < 0 && errno == EINTR) continue;
    if (ready > 0 && fds[1].revents != 0) return Waited::kInterrupted;
    return ready > 0 ? Waited::kReady : Waited::kTimedOut;
  }
}

}  // namespace

absl::StatusOr<Opened> OpenConnection(const ConnectOptions& options, int interrupt_fd) {
  if (options.password.reveal_c_str() == nullptr) {
    return absl::InvalidArgumentError("the password holds a NUL byte, which PostgreSQL's cannot");
  }
  RawConnection raw = StartConnecting(options);
  if (raw == nullptr) return absl::ResourceExhaustedError("out of memory");
  PQsetErrorVerbosity(raw.get(), PQERRORS_VERBOSE);  // puts the SQLSTATE into the text
  const absl::Time give_up = absl::Now() + options.connect_timeout;
  PostgresPollingStatusType step = PGRES_POLLING_WRITING;
  if (PQstatus(raw.get()) == CONNECTION_BAD) step = PGRES_POLLING_FAILED;
  while (step == PGRES_POLLING_READING || step == PGRES_POLLING_WRITING) {
    const short events = step == PGRES_POLLING_READING ? POLLIN : POLLOUT;
    switch (WaitFor(PQsocket(raw.get()), events, interrupt_fd, give_up)) {
      case Waited::kReady:
        step = PQconnectPoll(raw.get());
        break;
      case Waited::kTimedOut:
        return ConnectTimedOut();
      case Waited::kInterrupted:
        return absl::CancelledError("interrupted");
    }
  }
  if (step != PGRES_POLLING_OK) return FromConnectError(PQerrorMessage(raw.get()));
  try {
    PGconn* const handle = raw.get();
    auto connection = std::make_unique<pqxx::connection>(pqxx::connection::seize_raw_connection(raw.release()));
    connection->set_verbosity(pqxx::error_verbosity::terse);
    connection->set_notice_handler([](pqxx::zview) {});  // else libpqxx prints them
    return Opened{.connection = std::move(connection), .raw = handle};
  } catch (const std::exception& error) {
    return FromException(error, false);
  }
}

}  // namespace leasehold::postgres
