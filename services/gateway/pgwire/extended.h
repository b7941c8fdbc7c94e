// Bodies of the extended query protocol, as views into the frame.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace leasehold::gateway::pgwire {

// Each returns nullopt for a malformed body.

struct ParseBody {
  std::string_view statement;
  std::string_view sql;
  std::vector<uint32_t> types;  // 0: unspecified
};
std::optional<ParseBody> ReadParse(std::string_view body);

struct BindBody {
  std::string_view portal;
  std::string_view statement;
  std::vector<uint16_t> formats;  // none: all text; one: for all; else one each
  std::vector<std::optional<std::string_view>> values;
  std::vector<uint16_t> result_formats;

  bool IsBinary(size_t parameter) const;
  bool ResultIsBinary(size_t column) const;
};
std::optional<BindBody> ReadBind(std::string_view body);

// Portal and statement of a Bind, from its first bytes.
struct BindNames {
  std::string_view portal;
  std::string_view statement;
};
std::optional<BindNames> ReadBindNames(std::string_view body);

// Describe and Close: 'S' a statement, 'P' a portal.
struct TargetBody {
  char kind = 0;
  std::string_view name;
};
std::optional<TargetBody> ReadTarget(std::string_view body);

// The portal of an Execute.
std::optional<std::string_view> ReadExecute(std::string_view body);

}  // namespace leasehold::gateway::pgwire
