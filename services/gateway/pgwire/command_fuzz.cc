#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "services/gateway/pgwire/command.h"
#include "services/gateway/pgwire/lexer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace leasehold::gateway::pgwire;
  const std::string_view sql(reinterpret_cast<const char*>(data), size);
  Lexer lexer(sql);
  size_t at = 0;
  for (Token token = lexer.Next(); token.kind != TokenKind::kEnd; token = lexer.Next()) {
    if (token.begin < at || token.text.empty() || token.begin + token.text.size() > size) std::abort();
    at = token.begin + token.text.size();
    static_cast<void>(token.Name());
    static_cast<void>(token.Value());
  }
  const Recognition found = Recognize(sql);
  if (found.rest != std::string_view::npos && found.rest >= size) std::abort();
  // The quick scan may raise a false alarm, never miss.
  if ((!found.commands.empty() || found.refusal) && !MayConcernGateway(sql)) {
    // Escapes can spell the name: E'lease\x68old.tenant'. Only set_config and current_setting take strings for names.
    if (sql.find('\\') == std::string_view::npos) std::abort();
  }
  return 0;
}
