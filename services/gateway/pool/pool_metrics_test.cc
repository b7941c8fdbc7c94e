#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

#include "services/gateway/pool/report.h"

namespace leasehold::gateway {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string Text(const std::vector<PoolReport>& reports) {
  return prometheus::TextSerializer().Serialize(FamiliesOf(reports));
}

TEST(PoolMetricsTest, OfThePoolAndOfEachTenantThatIsNamed) {
  PoolReport report{
      .service = "core", .clients = 7, .cap = 20, .servers = 5, .idle = 2, .waiting = 1, .up = true, .dials = 9};
  report.tally = {.hits = 30, .waits = 4, .evictions = 3, .bytes_in = 1'000, .bytes_out = 2'000};
  report.tally.queries.Observe(absl::Milliseconds(2));
  report.tally.queries.Observe(absl::Hours(1));
  report.transactions.Observe(absl::Milliseconds(2));
  report.tenants.push_back({.tenant = "", .clients = 1, .limit = 20, .servers = 1});
  report.tenants.push_back(
      {.tenant = "acme", .clients = 6, .limit = 20, .servers = 4, .idle = 1, .working = 3, .waiting = 1});
  report.tenants.back().tally = {.hits = 12, .waits = 3, .evictions = 2, .bytes_in = 10, .bytes_out = 20};
  report.tenants.back().tally.queries.Observe(absl::Milliseconds(2));
  const std::string text = Text({report});
  for (const char* line : {
           "# TYPE leasehold_sql_clients gauge\n",
           "leasehold_sql_clients{service=\"core\"} 7\n",
           "leasehold_sql_server_connections{service=\"core\"} 5\n",
           "leasehold_sql_server_connections_idle{service=\"core\"} 2\n",
           "leasehold_sql_server_connections_max{service=\"core\"} 20\n",
           "leasehold_sql_server_connection_waiting{service=\"core\"} 1\n",
           "leasehold_sql_instance_up{service=\"core\"} 1\n",
           "leasehold_sql_server_dials_total{service=\"core\"} 9\n",
           "leasehold_sql_pool_hits_total{service=\"core\"} 30\n",
           "leasehold_sql_pool_waits_total{service=\"core\"} 4\n",
           "leasehold_sql_pool_evictions_total{service=\"core\"} 3\n",
           "leasehold_sql_bytes_total{service=\"core\",direction=\"in\"} 1000\n",
           "leasehold_sql_bytes_total{service=\"core\",direction=\"out\"} 2000\n",
           "# TYPE leasehold_sql_query_seconds histogram\n",
           "leasehold_sql_query_seconds_count{service=\"core\"} 2\n",
           "leasehold_sql_query_seconds_sum{service=\"core\"} 3600.002\n",
           "leasehold_sql_query_seconds_bucket{service=\"core\",le=\"0.001\"} 0\n",
           "leasehold_sql_query_seconds_bucket{service=\"core\",le=\"0.0025\"} 1\n",
           "leasehold_sql_query_seconds_bucket{service=\"core\",le=\"60\"} 1\n",
           "leasehold_sql_query_seconds_bucket{service=\"core\",le=\"+Inf\"} 2\n",
           "leasehold_sql_transaction_seconds_count{service=\"core\"} 1\n",
           "leasehold_sql_tenant_clients{service=\"core\",tenant=\"(central)\"} 1\n",
           "leasehold_sql_tenant_clients{service=\"core\",tenant=\"acme\"} 6\n",
           "leasehold_sql_tenant_server_connections{service=\"core\",tenant=\"acme\"} 4\n",
           "leasehold_sql_tenant_server_connections_working{service=\"core\",tenant=\"acme\"} 3\n",
           "leasehold_sql_tenant_server_connection_waiting{service=\"core\",tenant=\"acme\"} 1\n",
           "leasehold_sql_tenant_pool_hits_total{service=\"core\",tenant=\"acme\"} 12\n",
           "leasehold_sql_tenant_pool_waits_total{service=\"core\",tenant=\"acme\"} 3\n",
           "leasehold_sql_tenant_pool_evictions_total{service=\"core\",tenant=\"acme\"} 2\n",
           "leasehold_sql_tenant_bytes_total{service=\"core\",tenant=\"acme\",direction=\"out\"} 20\n",
           "leasehold_sql_tenant_query_seconds_count{service=\"core\",tenant=\"acme\"} 1\n",
       }) {
    EXPECT_THAT(text, HasSubstr(line));
  }
}

TEST(PoolMetricsTest, ANameHasOneFamilyForAllServices) {
  const std::string text = Text({{.service = "core"}, {.service = "identity"}});
  const size_t first = text.find("# TYPE leasehold_sql_clients ");
  ASSERT_NE(first, std::string::npos);
  EXPECT_EQ(text.find("# TYPE leasehold_sql_clients ", first + 1), std::string::npos);
  EXPECT_THAT(text, HasSubstr("leasehold_sql_clients{service=\"identity\"} 0\n"));
  EXPECT_THAT(text, Not(HasSubstr("tenant=")));
}

}  // namespace
}  // namespace leasehold::gateway
