#include "common/daemon/crowd.h"

#include <sys/socket.h>

namespace leasehold {

void Crowd::Arrive() {
  absl::MutexLock lock(&mu_);
  ++present_;
  MakeRoom();
}

void Crowd::Leave() {
  absl::MutexLock lock(&mu_);
  --present_;
}

uint64_t Crowd::Sit(int socket) {
  absl::MutexLock lock(&mu_);
  seats_.emplace(++next_, Seat{.socket = socket});
  return next_;
}

void Crowd::MakeRoom() {
  for (auto& [number, seat] : seats_) {
    if (present_ - dropped_ <= threads_) return;
    if (!seat.waits || seat.dropped) continue;
    shutdown(seat.socket, SHUT_RDWR);
    seat.dropped = true;
    ++dropped_;
  }
}

Crowd::Guest::Guest(Crowd& crowd, int socket) : crowd_(crowd), number_(crowd.Sit(socket)) {}

Crowd::Guest::~Guest() {
  absl::MutexLock lock(&crowd_.mu_);
  const auto seat = crowd_.seats_.find(number_);
  if (seat->second.dropped) --crowd_.dropped_;
  crowd_.seats_.erase(seat);
  --crowd_.present_;
}

void Crowd::Guest::Waits() {
  absl::MutexLock lock(&crowd_.mu_);
  crowd_.seats_.at(number_).waits = true;
  crowd_.MakeRoom();
}

void Crowd::Guest::GoesOn() {
  absl::MutexLock lock(&crowd_.mu_);
  crowd_.seats_.at(number_).waits = false;
}

}  // namespace leasehold
