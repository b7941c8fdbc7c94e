#include "services/cli/change.h"

#include <gtest/gtest.h>

namespace leasehold::cli {
namespace {

v1::Operation Of(v1::OperationKind kind, v1::OperationState state) {
  v1::Operation operation;
  operation.set_kind(kind);
  operation.set_state(state);
  return operation;
}

TEST(ChangedNothing, IsSaidByTheOperationThatAnswers) {
  const auto running = v1::OPERATION_STATE_RUNNING, ended = v1::OPERATION_STATE_SUCCEEDED;
  EXPECT_FALSE(ChangedNothing(Of(v1::OPERATION_KIND_SUSPEND, running), v1::OPERATION_KIND_SUSPEND));
  EXPECT_TRUE(ChangedNothing(Of(v1::OPERATION_KIND_SUSPEND, ended), v1::OPERATION_KIND_SUSPEND));
  EXPECT_TRUE(ChangedNothing(Of(v1::OPERATION_KIND_CREATE, ended), v1::OPERATION_KIND_UNDELETE));
  EXPECT_TRUE(ChangedNothing(Of(v1::OPERATION_KIND_CREATE, running), v1::OPERATION_KIND_RETRY));
  EXPECT_FALSE(ChangedNothing(Of(v1::OPERATION_KIND_UPDATE, ended), v1::OPERATION_KIND_UPDATE));
  EXPECT_TRUE(ChangedNothing({}, v1::OPERATION_KIND_RESUME)) << "it ended so long ago that it was forgotten";
}

}  // namespace
}  // namespace leasehold::cli
