#include "services/gateway/pgwire/error_fields.h"

#include "common/status/error.h"
#include "common/status/sqlstate.h"
#include "services/gateway/pgwire/frame.h"

namespace leasehold::gateway::pgwire {
namespace {

std::string_view FieldOf(std::string_view body, char wanted) {
  BodyReader reader(body);
  while (reader.ok()) {
    const std::string_view field = reader.Bytes(1);
    if (field.empty() || field[0] == '\0') break;
    const std::string_view value = reader.CString();
    if (field[0] == wanted) return value;
  }
  return {};
}

}  // namespace

ErrorFields Refuse(std::string_view code, std::string message, std::string_view hint) {
  return {.code = std::string(code), .message = std::move(message), .hint = std::string(hint)};
}

ErrorFields ToErrorFields(const absl::Status& status) {
  return {.code = std::string(SqlStateOf(status)), .message = std::string(ClientText(status))};
}

ErrorFields ReadErrorFields(std::string_view body) {
  ErrorFields fields;
  BodyReader reader(body);
  while (reader.ok()) {
    const std::string_view field = reader.Bytes(1);
    if (field.empty() || field[0] == '\0') break;
    const std::string_view value = reader.CString();
    switch (field[0]) {
      case 'C':
        fields.code = value;
        break;
      case 'M':
        fields.message = value;
        break;
      case 'D':
        fields.detail = value;
        break;
      case 'H':
        fields.hint = value;
        break;
      default:
        break;
    }
  }
  return fields;
}

bool IsFatal(std::string_view body) {
  const std::string_view severity = FieldOf(body, 'V');
  return severity == "FATAL" || severity == "PANIC";
}

// There are other reasons for an 0A000, and texts are translated; drivers go by the routine too.
bool IsStalePlan(std::string_view body) {
  return FieldOf(body, 'C') == "0A000" && FieldOf(body, 'R') == "RevalidateCachedQuery";
}

}  // namespace leasehold::gateway::pgwire
