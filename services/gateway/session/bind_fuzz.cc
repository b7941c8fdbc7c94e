// A client's Bind for a statement that the gateway answers: SQL up to a NUL, then the body.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "services/gateway/pgwire/command.h"
#include "services/gateway/pgwire/extended.h"
#include "services/gateway/session/virtual_statements.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace leasehold::gateway;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t end = input.find('\0');
  if (end == std::string_view::npos) return 0;
  const std::string_view sql = input.substr(0, end);
  const std::string_view body = input.substr(end + 1);
  const auto bind = pgwire::ReadBind(body);
  if (!bind) return 0;
  for (const pgwire::Recognition& found : {pgwire::Recognize(sql), pgwire::RecognizeBound(sql, "leasehold.tenant")}) {
    for (const pgwire::Command& command : found.commands) {
      Binding bound;
      const auto failure = BindCommand(command, *bind, bound);
      if (failure) {
        if (failure->code.size() != 5 || failure->message.empty()) std::abort();
      } else if (bound.tenant && command.tenant.parameter != 0 && !body.contains(*bound.tenant)) {
        std::abort();
      }
    }
  }
  return 0;
}
