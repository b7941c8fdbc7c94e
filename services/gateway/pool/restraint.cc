#include "services/gateway/pool/restraint.h"

#include <algorithm>

namespace leasehold::gateway {
namespace {

// A window has at least so many answers, and one for each server at work, and takes so long: one that is shorter tells
// of the scheduler.
constexpr int kFewest = 32;
constexpr absl::Duration kShortest = absl::Milliseconds(5);
// Twice the servers at work are worth it if they answer so many times as many. With idle cores it would be 2.
constexpr double kWorth = 1.15;
// Times the trial before it. The longest keeps what trials in vain cost, half of their answers, below one in a hundred.
constexpr int kFirstPause = 4;
constexpr int kLongestPause = 64;
constexpr absl::Duration kNeverLonger = absl::Seconds(5);
// Answers that have become so many times as many, or as few, are to other statements.
constexpr double kOther = 1.5;
// Fewer at work crowd nobody.
constexpr int kCrowd = 8;
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
  if (present_.size() == 2) {
    pause_ = kFirstPause;
    next_trial_ = now;
    rate_ = 0;
    Begin(now);
  }
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
  std::erase_if(present_, [now](Party* party) {
    if (party->working > 0 || now - party->last <= kPresence) return false;
    party->present = false;
    return true;
  });
  weights_ = 0;
  for (const Party* party : present_) weights_ += party->weight;
  if (!applies()) trial_.reset();
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
}

void Restraint::Look(absl::Duration now) {
  if (now >= absent_at_) NoteAbsent(now);
  if (!applies()) return;
  if (now - began_ >= kPatience) {
    if (held_) bound_ = std::min(2 * limit(), most_);
    unhalved_ = 0;
    if (trial_) Pause(now);
    Begin(now);
    return;
  }
  if (settling_) {
    if (answers_ < 2 * limit()) return;
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
    if (known && (rate > kOther * rate_ || rate_ > kOther * rate)) {
      rate_ = rate;
      unhalved_ = 0;
      pause_ = kFirstPause;
      next_trial_ = now;
      return;
    }
    rate_ = known ? (rate_ + rate) / 2 : rate;
    if (kWorth * rate_ < unhalved_) unhalved_ = 0;  // it was other statements'
    if (now >= next_trial_) TryEither();
    return;
  }
  const bool narrower = way_ == Way::kNarrower;
  const double before = std::max(rate_, unhalved_);
  if (narrower ? kWorth * rate >= before : rate >= kWorth * rate_) {
    bound_ = *trial_;
    rate_ = rate;
    unhalved_ = narrower ? before : 0;
    pause_ = kFirstPause;
    trial_.reset();
    if (Try(way_)) return;
  } else {
    Pause(now);
  }
  way_ = narrower ? Way::kWider : Way::kNarrower;
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
  const int half = (held_ ? bound_ : working_) / 2;
  if (half < kLeast || (!held_ && (working_ < kCrowd || !Crowds(half)))) return false;
  trial_ = half;
  return true;
}

}  // namespace leasehold::gateway
