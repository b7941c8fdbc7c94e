// Bodies of the extended query protocol, without a frame around them: the first byte says of which message.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "services/gateway/pgwire/encode.h"
#include "services/gateway/pgwire/extended.h"
#include "services/gateway/pgwire/frame.h"

namespace {

using namespace leasehold::gateway::pgwire;

void Require(bool holds) {
  if (!holds) std::abort();
}

bool IsWithin(std::string_view part, std::string_view whole) {
  return part.empty() || (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

void CheckParse(std::string_view body) {
  const auto parse = ReadParse(body);
  if (!parse) return;
  Require(IsWithin(parse->statement, body) && IsWithin(parse->sql, body) && 4 * parse->types.size() <= body.size());
  // As the gateway sends it on, under another name.
  std::string frame;
  ParseFrame(frame, "leasehold_1", body.substr(parse->statement.size() + 1));
  Frame header;
  Require(ReadClientHeader(frame, header) == Answer::kDone && header.type == 'P' && header.size == frame.size());
  const auto again = ReadParse(std::string_view(frame).substr(kHeaderSize));
  Require(again && again->statement == "leasehold_1" && again->sql == parse->sql && again->types == parse->types);
}

void CheckBind(std::string_view body) {
  const auto names = ReadBindNames(body);
  const auto bind = ReadBind(body);
  if (!bind) return;
  Require(names && names->portal == bind->portal && names->statement == bind->statement);
  size_t bytes = 0;
  for (size_t i = 0; i < bind->values.size(); ++i) {
    static_cast<void>(bind->IsBinary(i));
    if (!bind->values[i]) continue;
    Require(IsWithin(*bind->values[i], body));
    bytes += bind->values[i]->size();
  }
  Require(bytes <= body.size());
  static_cast<void>(bind->ResultIsBinary(0));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view body(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0]) {
    case 'P':
      CheckParse(body);
      break;
    case 'B':
      CheckBind(body);
      break;
    case 'D':
    case 'C':
      if (const auto target = ReadTarget(body)) {
        Require((target->kind == 'S' || target->kind == 'P') && IsWithin(target->name, body));
      }
      break;
    case 'E':
      if (const auto portal = ReadExecute(body)) Require(IsWithin(*portal, body));
      break;
    default:
      break;
  }
  return 0;
}
