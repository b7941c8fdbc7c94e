// JSON objects out of tokens and key sets, which strangers write.
#pragma once

#include <google/protobuf/struct.pb.h>

#include <optional>
#include <string>
#include <string_view>

namespace leasehold::gateway {

// nullopt if `text` is no JSON object, or nested too deeply.
std::optional<google::protobuf::Struct> ParseJsonObject(std::string_view text);

// The member's text; nullopt if it is missing or no text.
std::optional<std::string> TextOf(const google::protobuf::Struct& object, const std::string& member);

bool Has(const google::protobuf::Struct& object, const std::string& member);

}  // namespace leasehold::gateway
