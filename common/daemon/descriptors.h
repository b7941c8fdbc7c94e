// File descriptors: how many a daemon may have open, and how many of those others may take by connecting to it.
#pragma once

namespace leasehold {

// Start-up: as many as the administrator allows; returns how many. Daemons are mostly started with a soft limit of
// 1,024, which is for programs that use select(2). None of ours does, nor do their libraries.
int RaiseDescriptorLimit();

// As it is now: it may be changed from outside.
int DescriptorLimit();

// What is kept for the daemon's own, whoever connects: without a descriptor left it can reach neither its servers nor
// NATS nor the registry. Clients of SQL, who may be thousands, leave some to callers of gRPC, by whom an operator
// learns of it. Any thread.
class DescriptorBudget {
 public:
  DescriptorBudget() = default;  // keeps none
  // `own`: how many the daemon opens itself at most. Never more than a quarter of the limit is kept.
  explicit DescriptorBudget(int own) : own_(own) {}

  // A connection whose descriptor is not below this is one too many: the kernel gives the lowest that is free.
  int ForClients() const { return DescriptorLimit() - Kept(); }
  int ForCallers() const { return DescriptorLimit() - Kept() / 2; }

 private:
  int Kept() const;
  int own_ = 0;
};

}  // namespace leasehold
