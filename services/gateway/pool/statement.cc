#include "services/gateway/pool/statement.h"

#include <algorithm>
#include <format>
#include <utility>

#include "common/status/view.h"

namespace leasehold::gateway {

StatementPtr StatementTable::Intern(std::string_view body, std::string_view reading) {
  std::weak_ptr<const Statement>& kept = statements_[AbslView(reading)][AbslView(body)];
  if (StatementPtr same = kept.lock()) return same;
  auto fresh = std::make_shared<const Statement>(Statement{
      .name = std::format("leasehold_{}", ++last_),
      .body = std::string(body),
      .effects = pgwire::EffectsOf(body.substr(0, body.find('\0'))),
  });
  kept = fresh;
  if (++entries_ >= sweep_at_) Sweep();
  return fresh;
}

void StatementTable::Sweep() {
  entries_ = 0;
  for (auto& [reading, by_body] : statements_) {
    absl::erase_if(by_body, [](const auto& entry) { return entry.second.expired(); });
    entries_ += by_body.size();
  }
  absl::erase_if(statements_, [](const auto& entry) { return entry.second.empty(); });
  sweep_at_ = std::max<size_t>(256, 2 * entries_);
}

uint64_t PreparedSet::Use(const Statement& statement) {
  const auto found = by_statement_.find(&statement);
  if (found == by_statement_.end()) return 0;
  recent_.splice(recent_.begin(), recent_, found->second);
  return found->second->at;
}

std::vector<StatementPtr> PreparedSet::Add(StatementPtr statement, uint64_t now, size_t most, size_t most_bytes) {
  if (const auto known = by_statement_.find(statement.get()); known != by_statement_.end()) {
    known->second->at = now;
    Use(*statement);
    return {};
  }
  bytes_ += statement->body.size();
  recent_.push_front({.statement = std::move(statement), .at = now});
  by_statement_.emplace(recent_.front().statement.get(), recent_.begin());
  std::vector<StatementPtr> gone;
  while (recent_.size() > 1 && (recent_.size() > most || bytes_ > most_bytes)) {
    gone.push_back(recent_.back().statement);
    Remove(*gone.back());
  }
  return gone;
}

void PreparedSet::Remove(const Statement& statement) {
  const auto found = by_statement_.find(&statement);
  if (found == by_statement_.end()) return;
  bytes_ -= statement.body.size();
  const auto place = found->second;
  by_statement_.erase(found);
  recent_.erase(place);
}

void PreparedSet::Clear() {
  by_statement_.clear();
  recent_.clear();
  bytes_ = 0;
}

}  // namespace leasehold::gateway
