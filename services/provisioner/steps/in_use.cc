#include "services/provisioner/steps/in_use.h"

#include <algorithm>
#include <array>

namespace leasehold::provisioner {
namespace {

struct Why {
  std::string_view part;  // of PostgreSQL's message or detail
  std::string_view says;
};

// The first that is there counts: a detail may name sessions beside prepared transactions, and sessions are ended again
// with the next attempt. "session(s)" is how PostgreSQL puts it if there are both.
constexpr std::array<Why, 8> kWhys = {{
    {"prepared transaction", "a prepared transaction is open in it (pg_prepared_xacts)"},
    {"logical replication slot", "a logical replication slot of it is in use (pg_replication_slots)"},
    {"replication subscription", "it has a subscription (pg_subscription)"},
    {"source database", "sessions are open in the database that it is copied from"},
    {"currently open database", "the provisioner's own session is in it"},
    {"active queries in this session", "a statement of the same session still uses it"},
    {"pending trigger events", "triggers of the same transaction are still to run on it"},
    {"accessed by other users", "sessions or prepared transactions are in it"},
}};

}  // namespace

std::string_view WhyInUse(std::string_view text) {
  const auto* const why = std::ranges::find_if(kWhys, [text](const Why& each) { return text.contains(each.part); });
  return why == kWhys.end() ? "it is in use" : why->says;
}

}  // namespace leasehold::provisioner
