#include "services/gateway/pool/statement.h"

#include <algorithm>
#include <format>
#include <utility>

#include "common/status/view.h"

namespace leasehold::gateway {

StatementPtr StatementTable::Intern(std::string_view body) {
  std::weak_ptr<const Statement>& kept = statements_[AbslView(body)];
  if (StatementPtr same = kept.lock()) return same;
  auto fresh = std::make_shared<const Statement>(Statement{
      .name = std::format("leasehold_{}", ++last_),
      .body = std::string(body),
      .effects = pgwire::EffectsOf(body.substr(0, body.find('\0'))),
  });
  kept = fresh;
  if (statements_.size() >= sweep_at_) {
    absl::erase_if(statements_, [](const auto& entry) { return entry.second.expired(); });
    sweep_at_ = std::max<size_t>(256, 2 * statements_.size());
  }
  return fresh;
}

bool PreparedSet::Use(const Statement& statement) {
  const auto found = by_statement_.find(&statement);
  if (found == by_statement_.end()) return false;
  recent_.splice(recent_.begin(), recent_, found->second);
  return true;
}

std::vector<StatementPtr> PreparedSet::Add(StatementPtr statement, size_t most, size_t most_bytes) {
  if (Use(*statement)) return {};
  bytes_ += statement->body.size();
  recent_.push_front(std::move(statement));
  by_statement_.emplace(recent_.front().get(), recent_.begin());
  std::vector<StatementPtr> gone;
  while (recent_.size() > 1 && (recent_.size() > most || bytes_ > most_bytes)) {
    gone.push_back(recent_.back());
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
