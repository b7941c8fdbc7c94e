// How many of an instance's servers may be at work while several tenants use it. A pool shares out servers, but
// PostgreSQL shares out its cores between those that compute: a tenant with forty of them at work leaves a neighbour's
// one query a fortieth. More servers at work than PostgreSQL has cores for answer no more statements in all: so the
// bound is the least with which it answers nearly as many as with twice that. It is found by trying, as what the
// statements do (compute, sleep, wait for a disk) cannot be seen from outside: docs/adr/0014-restraint.md.
//
//   bound    Applies while several tenants are present, to those with more than their share of it. Who has none at work
//            never waits for it, so there may be more at work than the bound says.
//   window   So many answers. Those at work on average, over the time that a statement takes on average, is how many
//            PostgreSQL answers (Little's law); counting answers would be misled by those that come in bursts.
//   search   When a second tenant comes, what the first had answered without a bound is known: a few are tried at once,
//            then twice as many until they answer nearly that.
//   trial    Later, a window with half the bound, or with twice. Half is kept if nearly as many are answered, twice if
//            clearly more are, in two trials unless it is far more. After a trial in vain there is a pause, each time a
//            longer one.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/time/time.h"

namespace leasehold::gateway {

// One loop. `now`: of any clock that only goes forward.
class Restraint {
 public:
  // Every tenant may have so many at work, whoever else is there.
  static constexpr int kLeast = 2;
  // A tenant is present for so long after its last statement.
  static constexpr absl::Duration kPresence = absl::Seconds(1);
  // Answers that take longer than this for a window show nothing: then nobody is held back on a guess.
  static constexpr absl::Duration kPatience = absl::Milliseconds(500);

  // What is known of a tenant; stays where it is for as long as the restraint lives.
  struct Party {
    double weight = 1;
    int working = 0;
    bool present = false;
    absl::Duration last = absl::ZeroDuration();
  };

  // `most`: the cap. Not `on`: only counts.
  Restraint(int most, bool on) : most_(most), on_(on), bound_(most) {}

  // A server of its has got something to do, or has done it.
  void Began(Party& party, absl::Duration now);
  void Ended(Party& party, absl::Duration began, absl::Duration now);
  // It has to wait with the next one; who does that says so.
  bool Holds(const Party& party) const;
  void NoteHeld() { held_ = true; }
  // As time goes by.
  void Look(absl::Duration now);

  int working() const { return working_; }
  bool full() const { return applies() && working_ >= limit(); }
  // None: one tenant has the instance for itself.
  std::optional<int> bound() const { return applies() ? std::optional(limit()) : std::nullopt; }

 private:
  enum class Way : uint8_t { kNarrower, kWider };

  bool applies() const { return on_ && present_.size() > 1; }
  void CountTime(absl::Duration now);
  int limit() const { return trial_.value_or(bound_); }
  double ShareOf(const Party& party, int bound) const { return bound * party.weight / weights_; }
  bool Crowds(int bound) const;
  void Meet(absl::Duration now);
  void BeginSearch(absl::Duration now);
  void NoteAbsent(absl::Duration now);
  void Begin(absl::Duration now);
  void Judge(double rate, absl::Duration now);
  void JudgeNarrower(double rate, absl::Duration now);
  void JudgeWider(double rate, absl::Duration now);
  void Pause(absl::Duration now);
  void TryEither();
  bool Try(Way way);

  const int most_;
  const bool on_;
  int bound_;
  std::optional<int> trial_;  // in place of the bound, in this window
  Way way_ = Way::kNarrower;
  int working_ = 0;
  double weights_ = 0;  // of those present
  std::vector<Party*> present_;
  absl::Duration absent_at_ = absl::ZeroDuration();

  // The window.
  absl::Duration began_ = absl::ZeroDuration();
  bool settling_ = true;  // what is answered was mostly begun before it, by so many
  int begun_before_ = 0;
  bool held_ = false;
  int answers_ = 0;
  absl::Duration took_ = absl::ZeroDuration();    // … all together
  absl::Duration worked_ = absl::ZeroDuration();  // time of servers at work, as of `worked_at_`
  absl::Duration worked_at_ = absl::ZeroDuration();

  double rate_ = 0;      // answers per second with the bound, or of who is alone without one; 0: not known
  double unhalved_ = 0;  // … before the first halving that was kept; the losses of several would add up
  bool searching_ = false;
  bool goes_up_ = false;  // in the search, as the trial before answered too few
  int base_ = 0;          // at work, when it began
  int wins_ = 0;          // of twice as many, in a row
  absl::Duration changed_ = absl::ZeroDuration();
  absl::Duration next_trial_ = absl::ZeroDuration();
  int pause_ = 0;  // after a trial in vain, times what that took
};

}  // namespace leasehold::gateway
