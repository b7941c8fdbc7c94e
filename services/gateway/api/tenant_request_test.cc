#include "services/gateway/api/tenant_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/status/error.h"

namespace leasehold::gateway {
namespace {

std::string FieldOf(const absl::Status& status) {
  const auto detail = DetailOf(status);
  return detail ? detail->field() : "";
}

TEST(TenantRequestTest, CreateNamesTheFieldAtFault) {
  v1::CreateTenantRequest good;
  good.mutable_tenant()->set_id("acme");
  good.mutable_tenant()->set_name("Acme Corporation");
  good.mutable_tenant()->set_domain("ACME.hrms.local");
  (*good.mutable_tenant()->mutable_settings())["plan"] = "gold";
  const auto checked = CheckNew(good.tenant());
  ASSERT_TRUE(checked.ok()) << checked.status();
  EXPECT_EQ(checked->domain, "acme.hrms.local");

  auto broken = [&good](auto change) {
    v1::CreateTenantRequest request = good;
    change(*request.mutable_tenant());
    const absl::Status status = CheckNew(request.tenant()).status();
    EXPECT_EQ(ReasonOf(status), v1::REASON_INVALID_FIELD);
    return FieldOf(status);
  };
  EXPECT_EQ(broken([](v1::Tenant& t) { t.set_id("no_underscore"); }), "tenant.id");
  EXPECT_EQ(broken([](v1::Tenant& t) { t.clear_id(); }), "tenant.id");
  EXPECT_EQ(broken([](v1::Tenant& t) { t.set_name("a\nb"); }), "tenant.name");
  EXPECT_EQ(broken([](v1::Tenant& t) { t.set_domain("-.example"); }), "tenant.domain");
  EXPECT_EQ(broken([](v1::Tenant& t) { (*t.mutable_settings())["a b"] = "1"; }), "tenant.settings");
  EXPECT_EQ(broken([](v1::Tenant& t) { (*t.mutable_settings())["k"] = std::string(4097, 'x'); }), "tenant.settings[k]");
  EXPECT_EQ(broken([](v1::Tenant& t) { (*t.mutable_settings())["k"] = std::string("a\0b", 3); }), "tenant.settings[k]");
  EXPECT_EQ(broken([](v1::Tenant& t) {
              for (int i = 0; i < 65; ++i) (*t.mutable_settings())["k" + std::to_string(i)] = "v";
            }),
            "tenant.settings");
  EXPECT_EQ(broken([](v1::Tenant& t) {
              for (int i = 0; i < 10; ++i) (*t.mutable_settings())["k" + std::to_string(i)] = std::string(4000, 'x');
            }),
            "tenant.settings");
}

TEST(TenantRequestTest, SettingsErrorsDoNotQuoteTheValue) {
  v1::CreateTenantRequest request;
  request.mutable_tenant()->set_id("acme");
  (*request.mutable_tenant()->mutable_settings())["token"] = std::string(5000, 's');
  EXPECT_THAT(std::string(CheckNew(request.tenant()).status().message()), testing::Not(testing::HasSubstr("sss")));
}

TEST(TenantRequestTest, UpdateTellsAbsentFromEmpty) {
  v1::UpdateTenantRequest request;
  auto checked = CheckUpdate(request);
  ASSERT_TRUE(checked.ok());
  EXPECT_FALSE(checked->name || checked->domain);
  request.set_domain("");
  checked = CheckUpdate(request);
  ASSERT_TRUE(checked.ok());
  EXPECT_EQ(checked->domain, "");
  request.set_name("");
  EXPECT_EQ(FieldOf(CheckUpdate(request).status()), "name");
}

TEST(TenantRequestTest, RetentionHasLimits) {
  v1::DeleteTenantRequest request;
  EXPECT_EQ(*CheckRetention(request), std::nullopt);
  request.mutable_retention()->set_seconds(0);
  EXPECT_EQ(*CheckRetention(request), absl::ZeroDuration());
  request.mutable_retention()->set_seconds(-1);
  EXPECT_EQ(FieldOf(CheckRetention(request).status()), "retention");
  request.mutable_retention()->set_seconds(87601LL * 3600);
  EXPECT_EQ(CheckRetention(request).status().message(), "retention is '87601h'; allowed: 0s to 87600h");
}

TEST(TenantRequestTest, FingerprintsCoverMethodAndFieldsButNotTheRequestId) {
  v1::CreateTenantRequest request;
  request.set_request_id("r1");
  request.mutable_tenant()->set_id("acme");
  for (int i = 0; i < 20; ++i) (*request.mutable_tenant()->mutable_settings())["k" + std::to_string(i)] = "v";
  v1::CreateTenantRequest same = request;
  same.set_request_id("r2");
  v1::CreateTenantRequest other = request;
  other.mutable_tenant()->set_name("Acme");
  const std::string fingerprint = CheckRequestId("Create", request)->fingerprint;
  EXPECT_EQ(CheckRequestId("Create", same)->fingerprint, fingerprint);
  EXPECT_NE(CheckRequestId("Create", other)->fingerprint, fingerprint);
  EXPECT_NE(CheckRequestId("Update", request)->fingerprint, fingerprint);
  request.set_request_id("with blank");
  EXPECT_EQ(FieldOf(CheckRequestId("Create", request).status()), "request_id");
  request.set_request_id("");
  EXPECT_EQ(CheckRequestId("Create", request)->id, "");
}

}  // namespace
}  // namespace leasehold::gateway
