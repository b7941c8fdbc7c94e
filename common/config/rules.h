// What each field may hold, in one table: the check and the words for it.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <variant>

#include <google/protobuf/message.h>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace leasehold::config {

template <typename Value>
struct Rule {
  std::string allowed;  // for people: "1 to 65535"
  std::function<bool(const Value&)> holds;
  bool may_hold_password = false;
};

class Rules {
 public:
  Rules();

  // One field, called `path` in errors.
  absl::Status CheckField(const google::protobuf::Message& message, const google::protobuf::FieldDescriptor& field,
                          std::string_view path) const;
  // Every field of `message` and of what is in it.
  absl::Status CheckAll(const google::protobuf::Message& message, std::string_view path = "") const;

  // The words for a field, "leasehold.v1.GatewayConfig.sql_loops" without the package; empty for a flag.
  std::string AllowedText(const google::protobuf::FieldDescriptor& field) const;

 private:
  using AnyRule = std::variant<Rule<int32_t>, Rule<absl::Duration>, Rule<std::string>>;
  const AnyRule& Find(const google::protobuf::FieldDescriptor& field) const;

  std::map<std::string, AnyRule, std::less<>> rules_;  // by "GatewayConfig.sql_loops"
};

}  // namespace leasehold::config
