// Any order of messages from a client and answers from a server, the impossible ones too: two bytes each.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>

#include "services/gateway/session/exchange.h"

namespace {

using leasehold::gateway::Exchange;
using leasehold::gateway::Statement;

void Require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto statement =
      std::make_shared<const Statement>(Statement{.name = "leasehold_1", .body = "select 1", .effects = {}});
  Exchange exchange;
  std::string out;
  for (size_t i = 0; i + 1 < size; i += 2) {
    const char type = static_cast<char>(data[i + 1]);
    exchange.Mark(i);
    switch (data[i] % 8) {
      case 0:
        exchange.Sent(type);
        break;
      case 1:
        exchange.Sent(type, Exchange::Audience::kNobody, statement);
        break;
      case 2:
        exchange.Sent(type, Exchange::Audience::kClient, statement, "name");
        break;
      case 3:
        exchange.Answered("answer");
        break;
      case 4:
        type == 'C' ? exchange.AnsweredClose(statement, "name") : exchange.AnsweredParse(statement, "name");
        break;
      case 5: {
        const Exchange::Verdict verdict = exchange.Received(type, data[i] < 128 ? 'I' : 'T');
        if (type == 'E') {
          Require(verdict.failed_at <= i);
          Require(exchange.failed());
          if (verdict.repeatable) Require(exchange.transaction_status() == 'I');
        } else {
          Require(!verdict.failed && verdict.undone.empty() && !verdict.repeatable);
        }
        if (type == 'Z') Require(exchange.transaction_status() == (data[i] < 128 ? 'I' : 'T'));
        break;
      }
      case 6:
        exchange.TakeAnswers(out);
        Require(!exchange.answer_due());
        break;
      default:
        if (type == 'Z') {
          exchange.Reset();
          Require(exchange.settled() && !exchange.in_batch());
        } else {
          Require(exchange.HushSync() != exchange.settled());
        }
        break;
    }
    if (exchange.settled()) Require(exchange.syncs_due().empty() && !exchange.answer_due());
    if (exchange.batch_has_run()) Require(exchange.in_batch());
  }
  return 0;
}
