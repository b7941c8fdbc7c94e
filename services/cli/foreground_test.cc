#include "services/cli/foreground.h"

#include <gmock/gmock.h>

namespace leasehold::cli {
namespace {

using ::testing::UnorderedElementsAre;

TEST(ChildEnvironment, CredentialsWinOverWhatTheUserHasSet) {
  v1::Credentials credentials;
  credentials.set_host("127.0.0.1");
  credentials.set_port(7432);
  credentials.set_database("tenant_acme_core");
  credentials.set_user("lh1.x");
  credentials.set_password("geheim");
  const char* const ours[] = {"HOME=/root",    "PGHOST=elsewhere", "PGHOSTADDR=10.0.0.1", "PGSERVICE=prod",
                              "PGPASSFILE=/x", "PGOPTIONS=-c a",   "PATH=/bin",           nullptr};
  EXPECT_THAT(ChildEnvironment(ours, LibpqVariables(credentials)),
              UnorderedElementsAre("HOME=/root", "PATH=/bin", "PGOPTIONS=-c a", "PGHOST=127.0.0.1", "PGPORT=7432",
                                   "PGDATABASE=tenant_acme_core", "PGUSER=lh1.x", "PGPASSWORD=geheim"));
}

}  // namespace
}  // namespace leasehold::cli
