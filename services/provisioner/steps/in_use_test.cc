#include "services/provisioner/steps/in_use.h"

#include <gtest/gtest.h>

#include <string>

namespace leasehold::provisioner {
namespace {

TEST(WhyInUse, IsWhatPostgreSQLSays) {
  const auto expect = [](std::string_view text, std::string_view why) { EXPECT_EQ(WhyInUse(text), why) << text; };
  const std::string_view sessions = "sessions or prepared transactions are in it";
  const std::string busy = R"(ERROR:  database "a" is being accessed by other users)";
  expect(busy, sessions);
  expect(busy + " DETAIL:  There is 1 other session using the database.", sessions);
  const std::string_view prepared = "a prepared transaction is open in it (pg_prepared_xacts)";
  expect(busy + " DETAIL:  There are 2 other session(s) and 1 prepared transaction(s) using the database.", prepared);
  expect(R"(ERROR:  database "a" is being used by prepared transactions)", prepared);
  expect(R"(ERROR:  database "a" is used by an active logical replication slot DETAIL:  There is 1 active slot.)",
         "a logical replication slot of it is in use (pg_replication_slots)");
  expect(R"(ERROR:  database "a" is being used by logical replication subscription DETAIL:  There is 1 subscription.)",
         "it has a subscription (pg_subscription)");
  expect(R"(ERROR:  source database "template1" is being accessed by other users DETAIL:  There is 1 other session.)",
         "sessions are open in the database that it is copied from");
  expect("ERROR:  cannot drop the currently open database", "the provisioner's own session is in it");
  expect(R"(ERROR:  cannot ALTER TABLE "t" because it is being used by active queries in this session)",
         "a statement of the same session still uses it");
  expect(R"(ERROR:  cannot ALTER TABLE "t" because it has pending trigger events)",
         "triggers of the same transaction are still to run on it");
  expect(R"(FEHLER:  auf Datenbank »a« wird von anderen Benutzern zugegriffen)", "it is in use");
}

}  // namespace
}  // namespace leasehold::provisioner
