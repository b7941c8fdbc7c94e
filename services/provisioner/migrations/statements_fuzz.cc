// A migration file: cut into statements that stand in it, one behind the other, and looked at one by one.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "common/status/error.h"
#include "services/provisioner/migrations/concurrent.h"
#include "services/provisioner/migrations/server_message.h"
#include "services/provisioner/migrations/statements.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace leasehold::provisioner;
  const std::string_view file(reinterpret_cast<const char*>(data), size);
  const auto statements = SplitStatements(file);
  if (!statements.ok()) {
    if (leasehold::ReasonOf(statements.status()) != leasehold::v1::REASON_MIGRATION_FAILED) std::abort();
    return 0;
  }
  size_t at = 0;
  int line = 1;
  for (const SqlStatement& statement : *statements) {
    const size_t found = file.find(statement.text, at);
    if (statement.text.empty() || found == std::string_view::npos || statement.line < line) std::abort();
    at = found + statement.text.size();
    line = statement.line;
    (void)RefusedInTransactions(statement.text);
    const AloneStatement alone = ReadAloneStatement(statement.text);
    if (alone.index.empty() && !alone.schema.empty()) std::abort();
    if (LineOf(absl::InternalError(std::string(file)), statement.text) < 1) std::abort();
  }
  return 0;
}
