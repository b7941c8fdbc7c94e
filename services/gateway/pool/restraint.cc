#include "services/gateway/pool/restraint.h"

#include <algorithm>
#include <utility>

namespace leasehold::gateway {
namespace {

// A window has at least so many answers, and one for each server at work, and takes so long: one that is shorter tells
// of the scheduler, and of whatever else has kept a core for some milliseconds.
constexpr int kFewest = 32;
constexpr absl::Duration kShortest = absl::Milliseconds(40);
// Twice the servers at work are worth it if they answer so many times as many. With idle cores it would be 2.
constexpr double kWorth = 1.15;
// … and so clearly that it is believed at once.
constexpr double kSure = 1.4;
// Times the trial before it. The longest keeps what trials in vain cost, half of their answers, below one in a hundred.
constexpr int kFirstPause = 4;
constexpr int kLongestPause = 64;
constexpr absl::Duration kNeverLonger = absl::Seconds(5);
// Answers that have become so many times as many, or as few, are to other statements.
constexpr double kOther = 1.5;
// Fewer at work crowd nobody.
constexpr int kCrowd = 8;
// Where the search for a bound begins, upwards: the neighbour need not wait until one has come down from the cap.
constexpr int kFirst = 4;
constexpr absl::Duration kAbsentEvery = absl::Milliseconds(100);

}  // namespace

void Restraint::Began(Party& party, absl::Duration now) {
  CountTime(now);
  ++party.working;
  ++working_;
  party.last = now;
  if (party.present) return;
  party.present = true;
  present_.push_back(&party);
  weights_ += party.weight;
  if (on_ && present_.size() == 2) Meet(now);
}

// Who was alone so far is not any more.
void Restraint::Meet(absl::Duration now) {
  unhalved_ = 0;
  way_ = Way::kNarrower;
  BeginSearch(now);
  if (rate_ > 0) {
    bound_ = most_;
    Try(way_);
  }
  Begin(now);
}

// Nothing is known of these statements.
void Restraint::BeginSearch(absl::Duration now) {
  searching_ = true;
  wins_ = 0;
  pause_ = kFirstPause;
  next_trial_ = changed_ = now;
}

void Restraint::Ended(Party& party, absl::Duration began, absl::Duration now) {
  CountTime(now);
  --party.working;
  --working_;
  ++answers_;
  took_ += now - began;
  party.last = now;
  Look(now);
}

void Restraint::CountTime(absl::Duration now) {
  worked_ += working_ * (now - worked_at_);
  worked_at_ = now;
}

bool Restraint::Holds(const Party& party) const {
  return full() && party.working >= kLeast && party.working + 1 > ShareOf(party, limit());
}

void Restraint::NoteAbsent(absl::Duration now) {
  absent_at_ = now + kAbsentEvery;
  const bool applied = applies();
  std::erase_if(present_, [now](Party* party) {
    if (party->working > 0 || now - party->last <= kPresence) return false;
    party->present = false;
    return true;
  });
  weights_ = 0;
  for (const Party* party : present_) weights_ += party->weight;
  if (!applied || applies()) return;
  trial_.reset();
  rate_ = 0;
  Begin(now);
}

// With `bound`, somebody would have to wait.
bool Restraint::Crowds(int bound) const {
  return std::ranges::any_of(
      present_, [&](const Party* party) { return party->working > std::max<double>(kLeast, ShareOf(*party, bound)); });
}

void Restraint::Begin(absl::Duration now) {
  began_ = worked_at_ = now;
  answers_ = 0;
  took_ = worked_ = absl::ZeroDuration();
  held_ = false;
  settling_ = true;
  begun_before_ = working_;
}

void Restraint::Look(absl::Duration now) {
  if (now >= absent_at_) NoteAbsent(now);
  if (!on_) return;
  if (now - began_ >= kPatience) {
    if (held_) bound_ = std::min(2 * limit(), most_);
    if (!applies()) rate_ = 0;
    unhalved_ = 0;
    if (trial_) Pause(now);
    Begin(now);
    return;
  }
  if (settling_) {
    if (answers_ < begun_before_ + limit()) return;
    Begin(now);
    settling_ = false;
    return;
  }
  if (answers_ < std::max(kFewest, limit()) || now - began_ < kShortest) return;
  CountTime(now);
  const double working = absl::FDivDuration(worked_, now - began_);
  const double rate = working * answers_ / std::max(absl::ToDoubleSeconds(took_), 1e-9);
  const int before = limit();
  Judge(rate, now);
  Begin(now);
  settling_ = limit() != before;
  if (settling_) changed_ = now;
}

void Restraint::Judge(double rate, absl::Duration now) {
  if (!trial_) {
    const bool known = rate_ > 0;
    const bool other = known && (rate > kOther * rate_ || rate_ > kOther * rate);
    rate_ = known && !other ? (rate_ + rate) / 2 : rate;
    if (!applies()) return;
    if (other) {
      unhalved_ = 0;
      way_ = held_ ? Way::kWider : Way::kNarrower;
      return BeginSearch(now);
    }
    if (kWorth * rate_ < unhalved_) unhalved_ = 0;  // it was other statements'
    if (now >= next_trial_) TryEither();
    return;
  }
  if (way_ == Way::kNarrower) {
    JudgeNarrower(rate, now);
  } else {
    JudgeWider(rate, now);
  }
}

void Restraint::JudgeNarrower(double rate, absl::Duration now) {
  const double before = std::max(rate_, unhalved_);
  const int tried = *trial_;
  const bool goes_up = std::exchange(goes_up_, false);
  if (kWorth * rate < before) {
    goes_up_ = searching_ && 2 * tried < base_;
    if (goes_up_) {
      trial_ = 2 * tried;
      return;
    }
    Pause(now);
  } else {
    bound_ = tried;
    rate_ = rate;
    unhalved_ = before;
    pause_ = kFirstPause;
    trial_.reset();
    if (!goes_up && Try(Way::kNarrower)) return;
  }
  searching_ = false;
  way_ = Way::kWider;
}

void Restraint::JudgeWider(double rate, absl::Duration now) {
  if (rate < kWorth * rate_) {
    wins_ = 0;
    Pause(now);
    way_ = Way::kNarrower;
    return;
  }
  if (rate < kSure * rate_ && ++wins_ < 2) {  // once more, after another look at what it is without
    trial_.reset();
    rate_ = 0;
    next_trial_ = now;
    return;
  }
  wins_ = 0;
  bound_ = *trial_;
  rate_ = rate;
  unhalved_ = 0;
  pause_ = kFirstPause;
  trial_.reset();
  if (!Try(Way::kWider)) way_ = Way::kNarrower;
}

void Restraint::Pause(absl::Duration now) {
  trial_.reset();
  rate_ = 0;
  next_trial_ = now + std::min(pause_ * (now - changed_), kNeverLonger);
  pause_ = std::min(2 * pause_, kLongestPause);
}

void Restraint::TryEither() {
  if (Try(way_)) return;
  const Way other = way_ == Way::kNarrower ? Way::kWider : Way::kNarrower;
  if (Try(other)) way_ = other;
}

bool Restraint::Try(Way way) {
  if (way == Way::kWider) {
    if (!held_ || bound_ >= most_) return false;
    trial_ = std::min(2 * bound_, most_);
    return true;
  }
  base_ = held_ ? bound_ : working_;
  const int fewer = std::max(searching_ ? std::min(kFirst, base_ / 2) : base_ / 2, kLeast);
  if (fewer >= base_ || (!held_ && (working_ < kCrowd || !Crowds(fewer)))) return false;
  trial_ = fewer;
  return true;
}

}  // namespace leasehold::gateway
