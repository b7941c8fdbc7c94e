#include "services/gateway/authn/json.h"

#include <google/protobuf/util/json_util.h>

#include "common/status/utf8.h"

namespace leasehold::gateway {
namespace {

constexpr int kMaxDepth = 16;

// The reader calls itself for each level: what is nested too deeply must not reach it.
bool IsShallow(std::string_view text) {
  int depth = 0;
  bool in_text = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_text) {
      if (c == '\\') ++i;
      if (c == '"') in_text = false;
    } else if (c == '"') {
      in_text = true;
    } else if (c == '\'') {
      return false;  // no JSON, but the reader takes it for a quote
    } else if (c == '{' || c == '[') {
      if (++depth > kMaxDepth) return false;
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return true;
}

}  // namespace

std::optional<google::protobuf::Struct> ParseJsonObject(std::string_view text) {
  if (!IsUtf8(text) || !IsShallow(text)) return std::nullopt;
  google::protobuf::Struct object;
  if (!google::protobuf::util::JsonStringToMessage({text.data(), text.size()}, &object).ok()) return std::nullopt;
  return object;
}

std::optional<std::string> TextOf(const google::protobuf::Struct& object, const std::string& member) {
  const auto found = object.fields().find(member);
  if (found == object.fields().end() || !found->second.has_string_value()) return std::nullopt;
  return found->second.string_value();
}

bool Has(const google::protobuf::Struct& object, const std::string& member) { return object.fields().contains(member); }

}  // namespace leasehold::gateway
