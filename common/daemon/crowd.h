// The connections of an HTTP endpoint, each with a thread of its own while it is served: where there are more of them
// than threads, those that keep theirs waiting give way. So nobody keeps a probe out by connecting and saying nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace leasehold {

// Any thread.
class Crowd {
 public:
  explicit Crowd(size_t threads) : threads_(threads) {}

  void Arrive();  // one more, which gets a thread in its turn
  void Leave();   // it is gone, and had none

  // A connection as long as it has a thread. Used by that alone; the socket is closed afterwards.
  class Guest {
   public:
    Guest(Crowd& crowd, int socket);
    ~Guest();  // and Leave()
    Guest(const Guest&) = delete;
    Guest& operator=(const Guest&) = delete;

    // Between these its peer has to do something: send, or read. Meanwhile its socket may be shut down.
    void Waits();
    void GoesOn();

   private:
    Crowd& crowd_;
    const uint64_t number_;
  };

 private:
  struct Seat {
    int socket = -1;
    bool waits = false;
    bool dropped = false;
  };

  uint64_t Sit(int socket);
  // Drops who has waited since the longest time ago, as long as somebody stands.
  void MakeRoom() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const size_t threads_;
  absl::Mutex mu_;
  std::map<uint64_t, Seat> seats_ ABSL_GUARDED_BY(mu_);  // in the order of their coming
  uint64_t next_ ABSL_GUARDED_BY(mu_) = 0;
  size_t present_ ABSL_GUARDED_BY(mu_) = 0;
  size_t dropped_ ABSL_GUARDED_BY(mu_) = 0;  // of those that are present
};

}  // namespace leasehold
