// A policy file and a tokens file. A policy that is taken allows nobody what no rule names; tokens that are taken are
// written down the same, and none is found by what the file holds of it.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "common/policy/api_tokens.h"
#include "common/policy/policy.h"
#include "common/status/error.h"

namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace leasehold;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto policy = Policy::Parse(text);
  if (policy.ok()) {
    const Ask ask{.principal = "token:nobody", .operation = "lease.acquire", .service = "core", .tenant = "acme"};
    const v1::PolicyRule* rule = (*policy)->Allowing(ask);
    Require((rule != nullptr) == (*policy)->Explain(ask).allowed());
    Require(rule == nullptr || !rule->principals().empty());
    (void)(*policy)->QuotaOf("token:nobody");
    (void)(*policy)->QuotaOfTenant("acme");
  } else {
    Require(ReasonOf(policy.status()) == v1::REASON_INVALID_FIELD);
  }
  const auto tokens = ApiTokens::Parse(text);
  if (!tokens.ok()) {
    Require(ReasonOf(tokens.status()) == v1::REASON_INVALID_FIELD);
    return 0;
  }
  const auto again = ApiTokens::Parse(tokens->ToText());
  Require(again.ok() && again->ToText() == tokens->ToText());
  for (const ApiToken& token : tokens->list()) {
    Require(tokens->Find(token.sha256) == nullptr && tokens->Find(token.name) == nullptr);
  }
  return 0;
}
