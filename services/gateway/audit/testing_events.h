// For tests that look at what was recorded, in place of the trail's writer.
#pragma once

#include <gtest/gtest.h>

#include <vector>

#include "absl/strings/str_split.h"
#include "common/status/view.h"
#include "services/gateway/audit/line.h"
#include "services/gateway/audit/recorder.h"

namespace leasehold::gateway {

// What waits to be stored, and waits no more.
inline std::vector<v1::AuditEvent> TakeEvents(AuditRecorder& recorder) {
  std::vector<v1::AuditEvent> events;
  while (auto batch = recorder.buffer().Take(absl::ZeroDuration(), absl::ZeroDuration())) {
    for (const absl::string_view line : absl::StrSplit(batch->lines, '\n', absl::SkipEmpty())) {
      const auto event = ParseAuditLine(StdView(line));
      EXPECT_TRUE(event.ok()) << line;
      if (event.ok()) events.push_back(*event);
    }
    recorder.buffer().Done(*batch);
  }
  return events;
}

}  // namespace leasehold::gateway
