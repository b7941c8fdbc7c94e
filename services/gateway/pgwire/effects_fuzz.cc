// SQL text, as far as the gateway reads it without being asked to answer it.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "services/gateway/pgwire/command.h"
#include "services/gateway/pgwire/effects.h"
#include "services/gateway/pgwire/known_functions.h"
#include "services/gateway/pgwire/lexer.h"
#include "services/gateway/pgwire/quote.h"

namespace {

using namespace leasehold::gateway::pgwire;

void Require(bool holds) {
  if (!holds) std::abort();
}

bool SameEffects(const Effects& a, const Effects& b) {
  return a.concerns_gateway == b.concerns_gateway && a.unknown == b.unknown && a.resets_all == b.resets_all &&
         a.pins == b.pins && a.unpins == b.unpins && a.bound_sets == b.bound_sets && a.sets == b.sets &&
         a.resets == b.resets && a.prepares == b.prepares;
}

void CheckLiteral(std::string_view text) {
  if (text.contains('\0')) return;
  const std::string literal = Literal(text);
  Lexer lexer(literal);
  const Token token = lexer.Next();
  Require(token.kind == TokenKind::kString && token.Value() == text);
  Require(lexer.Next().kind == TokenKind::kEnd);

  const std::string quoted = QuotedParameter(text);
  Lexer names(quoted);
  std::string name;
  for (Token part = names.Next(); part.kind != TokenKind::kEnd; part = names.Next()) {
    Require(part.kind == TokenKind::kQuotedName || part.Is('.'));
    name += part.Is('.') ? "." : part.Name();
  }
  Require(name == text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view sql(reinterpret_cast<const char*>(data), size);
  const Effects effects = EffectsOf(sql);
  // What is told at a glance is the same as what reading all of it tells: the comment keeps it from glancing.
  Require(SameEffects(effects, EffectsOf("/**/" + std::string(sql))));
  const Recognition found = Recognize(sql);
  if (!found.commands.empty() || found.refusal) Require(effects.concerns_gateway || sql.contains('\\'));
  const Recognition bound = RecognizeBound(sql, "leasehold.tenant");
  Require((bound.commands.size() == 1) != bound.refusal.has_value());
  static_cast<void>(IsKnownFunction(sql));
  CheckLiteral(sql);
  return 0;
}
