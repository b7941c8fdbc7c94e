// What an ErrorResponse says.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace leasehold::gateway::pgwire {

struct ErrorFields {
  std::string code;  // SQLSTATE; empty: hang up without a word
  std::string message;
  std::string detail{};
  std::string hint{};
};

// One of the gateway's own.
ErrorFields Refuse(std::string_view code, std::string message, std::string_view hint = "");

// The client-safe text and the SQLSTATE of `status`.
ErrorFields ToErrorFields(const absl::Status& status);

// Out of the body of an ErrorResponse; fields that Leasehold does not use are dropped.
ErrorFields ReadErrorFields(std::string_view body);

// Of an ErrorResponse: its sender hangs up.
bool IsFatal(std::string_view body);

// "cached plan must not change result type": what was prepared gives other columns now.
bool IsStalePlan(std::string_view body);

}  // namespace leasehold::gateway::pgwire
