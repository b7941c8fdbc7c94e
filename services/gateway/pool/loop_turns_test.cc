// Of what is ready at the same time, everybody's first comes before anybody's second.
#include <gmock/gmock.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "services/gateway/pool/loop.h"

namespace leasehold::gateway {
namespace {

// Ready from the start.
class Event final : public Loop::Watcher {
 public:
  Event(std::string name, uint32_t* account, std::vector<std::string>& told)
      : name_(std::move(name)), account_(account), told_(told), fd_(eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC)) {}
  ~Event() { close(fd_); }

  int fd() const { return fd_; }
  void OnReady(uint32_t) override { told_.push_back(name_); }
  uint32_t* Account() override { return account_; }

 private:
  const std::string name_;
  uint32_t* const account_;
  std::vector<std::string>& told_;
  const int fd_;
};

std::vector<std::string> Order(const std::vector<std::pair<std::string, uint32_t*>>& ready) {
  std::vector<std::string> told;
  std::vector<std::unique_ptr<Event>> events;
  for (const auto& [name, account] : ready) events.push_back(std::make_unique<Event>(name, account, told));
  Loop loop;
  absl::Notification done;
  loop.Post([&] {
    for (const auto& event : events) loop.Watch(event->fd(), *event);
    loop.After(absl::Milliseconds(1), [&] { done.Notify(); });
  });
  loop.Start();
  done.WaitForNotification();
  loop.Stop();
  return told;
}

TEST(LoopTurnsTest, WhoHasMuchToDoDoesNotHoldUpWhoHasLittle) {
  uint32_t much = 0, little = 0;
  EXPECT_THAT(Order({{"m1", &much}, {"m2", &much}, {"m3", &much}, {"l1", &little}, {"l2", &little}}),
              testing::ElementsAre("m1", "l1", "m2", "l2", "m3"));
  EXPECT_EQ(much, 0u);
  EXPECT_EQ(little, 0u);
}

TEST(LoopTurnsTest, OneAccountGoesInOrderAndNobodysGoesFirst) {
  uint32_t one = 0;
  EXPECT_THAT(Order({{"1", &one}, {"2", &one}, {"nobody's", nullptr}, {"3", &one}}),
              testing::ElementsAre("1", "nobody's", "2", "3"));
}

}  // namespace
}  // namespace leasehold::gateway
