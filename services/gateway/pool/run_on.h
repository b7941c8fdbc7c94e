// Work on a loop, waited for. Tests only.
#pragma once

#include <future>
#include <utility>

#include "services/gateway/pool/loop.h"

namespace leasehold::gateway {

// What `work` returns. Any thread but the loop's.
template <typename Work>
auto RunOn(Loop& loop, Work work) {
  std::packaged_task<decltype(work())()> task(std::move(work));
  auto result = task.get_future();
  loop.Post(std::move(task));
  return result.get();
}

}  // namespace leasehold::gateway
