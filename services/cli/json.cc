#include "services/cli/json.h"

#include <google/protobuf/util/json_util.h>

namespace leasehold::cli {
namespace {

std::string Json(const google::protobuf::Message& message, bool indented) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = indented;
  std::string text;
  // Fails only for an ill-formed Any or Timestamp; what was written before says enough then.
  (void)google::protobuf::util::MessageToJsonString(message, &text, options);
  if (!text.ends_with('\n')) text += '\n';
  return text;
}

}  // namespace

std::string ToJson(const google::protobuf::Message& message) { return Json(message, true); }
std::string ToJsonLine(const google::protobuf::Message& message) { return Json(message, false); }

std::string TimeJson(absl::Time time) { return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone()); }

}  // namespace leasehold::cli
