#include "services/gateway/pool/task.h"

#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <string>

namespace leasehold::gateway {
namespace {

Task<int> Twice(Signal& signal, int value) {
  co_await signal;
  co_return 2 * value;
}

Task<void> Sum(Signal& signal, int& sum) {
  for (int i = 1; i <= 3; ++i) sum += co_await Twice(signal, i);
}

TEST(TaskTest, GoesOnWhereItWaited) {
  Signal signal;
  int sum = 0;
  Task<void> task = Sum(signal, sum);
  task.Start();
  EXPECT_EQ(sum, 0);
  signal.Notify();
  EXPECT_EQ(sum, 2);
  signal.Notify();
  EXPECT_FALSE(task.done());
  signal.Notify();
  EXPECT_TRUE(task.done());
  EXPECT_EQ(sum, 12);
  signal.Notify();  // nobody waits any more
}

TEST(TaskTest, DroppedWithAllThatItWaitsFor) {
  Signal signal;
  const auto held = std::make_shared<int>(1);
  const auto inner = [](Signal& its_signal, std::shared_ptr<int> its) -> Task<int> {
    co_await its_signal;
    co_return *its;
  };
  const auto outer = [&inner](Signal& its_signal, std::shared_ptr<int> its) -> Task<void> {
    co_await inner(its_signal, its);
  };
  {
    Task<void> task = outer(signal, held);
    task.Start();
    EXPECT_GT(held.use_count(), 1);
  }
  EXPECT_EQ(held.use_count(), 1);
}

Task<int> Throw(Signal& signal) {
  co_await signal;
  throw std::runtime_error("thrown below");
}

Task<std::string> Catch(Signal& signal) {
  try {
    co_return std::to_string(co_await Throw(signal));
  } catch (const std::exception& thrown) {
    co_return thrown.what();
  }
}

TEST(TaskTest, WhatItThrowsItsAwaiterMeets) {
  Signal signal;
  Task<std::string> task = Catch(signal);
  task.Start();
  signal.Notify();
  ASSERT_TRUE(task.done());
  EXPECT_EQ(task.Take(), "thrown below");
}

}  // namespace
}  // namespace leasehold::gateway
