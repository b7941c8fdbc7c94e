// A connection that says for whom it works.
#pragma once

#include "common/postgres/postgres.h"
#include "common/telemetry/trace.h"

namespace leasehold::provisioner {

// While it lives, PostgreSQL shows which trace `connection` works for: the thread's. That it cannot be shown stops no
// work.
class ShownTrace {
 public:
  explicit ShownTrace(postgres::Connection& connection) : connection_(connection) { (void)connection_.ShowTrace(); }
  ~ShownTrace() {
    const TraceScope none{Trace()};
    (void)connection_.ShowTrace();
  }
  ShownTrace(const ShownTrace&) = delete;
  ShownTrace& operator=(const ShownTrace&) = delete;

 private:
  postgres::Connection& connection_;
};

}  // namespace leasehold::provisioner
