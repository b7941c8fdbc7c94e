// Keys are replaced while everything runs: no session ends, and whoever logs in meanwhile gets in.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <csignal>
#include <fstream>
#include <map>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/secret/secret.h"
#include "leasehold/v1/lease.pb.h"
#include "tests/stack/gateway.h"
#include "tests/stack/outputs.h"
#include "tests/stack/provisioner.h"
#include "tests/stack/stack.h"

namespace leasehold::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// More than two looks at a file, on a busy machine too.
constexpr char kSettle[] = "8s";
constexpr char kTaken[] = "leasehold_reloads_total{file=\"role key of alpha\"}";

// Whose server connections end at once: who logs in later has one made.
void ForgetServersAtOnce(v1::Config& config) {
  for (v1::ServiceConfig& service : *config.mutable_services()) {
    service.mutable_instance()->mutable_idle_timeout()->set_seconds(1);
  }
}

// Two gateways; tenants with leases from before.
class Keys : public ::testing::Test {
 protected:
  Keys() {
    for (int i = 0; i < 4; ++i) {
      tenants_.push_back(stack_.CreateTenant(FreshTenantId()));
      before_.push_back(stack_.Acquire(tenants_.back(), "alpha"));
    }
  }

  std::string Config() const { return stack_.state_dir() + "/config.yaml"; }
  std::string SecretFile(const std::string& name) const { return stack_.state_dir() + "/secrets/" + name; }

  std::string Do(const std::vector<std::string>& arguments) {
    const Stack::Output output = stack_.Run(arguments);
    EXPECT_EQ(output.exit_code, 0) << output.err;
    return output.out;
  }
  void Rotate(std::vector<std::string> flags) {
    flags.insert(flags.begin(), {"keys", "rotate", "--settle", kSettle, "--config", Config()});
    Do(flags);
  }

  // Which key signed a lease's credentials.
  static uint32_t KeyOf(const v1::AcquireLeaseResponse& lease) {
    v1::LeaseClaims claims;
    const std::string& user = lease.credentials().user();
    EXPECT_TRUE(claims.ParseFromString(FromBase64Url(user.substr(user.find('.') + 1)).value()));
    return claims.key_id();
  }

  // At the second gateway.
  v1::AcquireLeaseResponse AcquireThere(const std::string& tenant) {
    v1::AcquireLeaseRequest request;
    request.set_tenant(tenant);
    request.set_service("alpha");
    v1::AcquireLeaseResponse response;
    const grpc::Status status = there_->AcquireLease(Deadline().get(), request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }

  // The lease used at the stack's gateway, and at the second one.
  std::string Here(const v1::AcquireLeaseResponse& lease) const {
    return absl::StrReplaceAll(lease.credentials().dsn(), {{gateway_.sql(), stack_.Env("LEASEHOLD_SQL")}});
  }
  std::string There(const v1::AcquireLeaseResponse& lease) const {
    return absl::StrReplaceAll(lease.credentials().dsn(), {{stack_.Env("LEASEHOLD_SQL"), gateway_.sql()}});
  }

  // At both gateways; what PostgreSQL or the gateway said of it that did not work.
  std::vector<std::string> LogIn(const v1::AcquireLeaseResponse& lease) const {
    std::vector<std::string> failures;
    for (const std::string& dsn : {Here(lease), There(lease)}) {
      try {
        pqxx::connection session(dsn);
        pqxx::nontransaction(session).exec("SELECT 1");
      } catch (const pqxx::failure& failure) {
        failures.push_back(failure.what());
      }
    }
    return failures;
  }

  // What PostgreSQL keeps of the password of a tenant's owner.
  std::string PasswordOf(const std::string& tenant) {
    return stack_.OnInstance(
        "alpha", absl::StrCat("SELECT rolpassword FROM pg_authid WHERE rolname = 'tenant_", tenant, "_alpha'"));
  }

  // A series at both gateways.
  std::pair<double, double> CountOf(const std::string& series) const {
    return {ValueOf(MetricsOf(stack_.Env("LEASEHOLD_HTTP")), series), ValueOf(MetricsOf(gateway_.http()), series)};
  }
  bool Grows(const std::string& series, std::pair<double, double> before, int by) {
    return Eventually([&] {
      const auto now = CountOf(series);
      return now.first >= before.first + by && now.second >= before.second + by;
    });
  }

  Stack& stack_ = SharedStack();
  const Gateway gateway_{stack_, &ForgetServersAtOnce};
  const std::unique_ptr<v1::LeaseService::Stub> there_ =
      v1::LeaseService::NewStub(grpc::CreateChannel(gateway_.grpc(), grpc::InsecureChannelCredentials()));
  std::vector<std::string> tenants_;
  std::vector<v1::AcquireLeaseResponse> before_;
};

// Until it goes: sessions that were open stay and work, and log-ins by old leases and new ones at both gateways
// succeed.
class Traffic {
 public:
  Traffic(std::vector<std::string> open, std::function<std::vector<std::string>(int round)> log_in)
      : log_in_(std::move(log_in)), thread_([this, open = std::move(open)] { Run(open); }) {}
  ~Traffic() {
    over_ = true;
    thread_.join();
    EXPECT_GT(rounds_, 3);
    EXPECT_THAT(failures_, ::testing::IsEmpty());
  }
  Traffic(const Traffic&) = delete;
  Traffic& operator=(const Traffic&) = delete;

 private:
  void Run(const std::vector<std::string>& open) {
    std::vector<std::unique_ptr<pqxx::connection>> sessions;
    for (const std::string& dsn : open) sessions.push_back(std::make_unique<pqxx::connection>(dsn));
    for (; !over_; ++rounds_) {
      for (const auto& session : sessions) {
        const auto value = Value(*session, "SELECT 'open'");
        if (!value.ok() || *value != "open")
          failures_.push_back(absl::StrCat("open session: ", value.status().message()));
      }
      for (std::string& failure : log_in_(rounds_)) failures_.push_back(std::move(failure));
    }
  }

  const std::function<std::vector<std::string>(int)> log_in_;
  std::atomic<bool> over_ = false;
  std::atomic<int> rounds_ = 0;
  std::vector<std::string> failures_;
  std::thread thread_;
};

TEST_F(Keys, OfLeases) {
  const uint32_t old_key = KeyOf(before_[0]);
  {
    const Traffic traffic({Here(before_[0]), There(before_[0])}, [this](int round) {
      const size_t i = static_cast<size_t>(round) % tenants_.size();
      std::vector<std::string> failures = LogIn(before_[i]);
      for (const auto& fresh : {stack_.Acquire(tenants_[i], "alpha"), AcquireThere(tenants_[i])}) {
        for (std::string& failure : LogIn(fresh)) failures.push_back(std::move(failure));
      }
      return failures;
    });
    Rotate({"--signing"});
    // Each gateway, without having been started again.
    ASSERT_TRUE(Eventually([&] { return KeyOf(stack_.Acquire(tenants_[0], "alpha")) > old_key; }));
    ASSERT_TRUE(Eventually([&] { return KeyOf(AcquireThere(tenants_[0])) > old_key; }));
    // The old key has signed a moment ago, and leases may last an hour: it stays.
    Do({"keys", "prune", "--signing", "--config", Config()});
    EXPECT_THAT(Do({"keys", "list", "--signing", "--config", Config()}), HasSubstr("verifies, signed until"));
  }
  for (const v1::AcquireLeaseResponse& lease : before_) EXPECT_THAT(LogIn(lease), ::testing::IsEmpty());
}

TEST_F(Keys, OfRoles) {
  const std::string before = PasswordOf(tenants_[0]);
  const Provisioner second(stack_, "alpha");
  const pid_t provisioner = stack_.PidOf("provisioner/alpha");
  const auto outdated = [this] {
    return ValueOf(ProvisionerMetrics(stack_, "alpha"), "leasehold_provisioner_outdated_secrets");
  };
  {
    const Traffic traffic({Here(before_[0]), There(before_[0])},
                          [this](int round) { return LogIn(before_[static_cast<size_t>(round) % before_.size()]); });
    Rotate({"--roles", "alpha"});
    // A second rotation would lock out whoever has not followed the first.
    const Stack::Output again = stack_.Run({"keys", "rotate", "--roles", "alpha", "--config", Config()});
    EXPECT_EQ(again.exit_code, 1);
    EXPECT_THAT(again.err, HasSubstr("keys prune"));

    for (const std::string& tenant : tenants_) {
      ASSERT_TRUE(Eventually([&] { return PasswordOf(tenant) != before; }, absl::Minutes(1)));
    }
    ASSERT_TRUE(Eventually([&] { return outdated() == 0; }, absl::Minutes(1)));
    ASSERT_TRUE(Eventually([&] { return second.Said("starting over with the new one") == 1; }));
    // Of spares that were made under either key.
    const std::string another = stack_.CreateTenant(FreshTenantId());
    EXPECT_THAT(LogIn(stack_.Acquire(another, "alpha")), ::testing::IsEmpty());

    const auto taken = CountOf(kTaken);
    // Whichever of the two is asked: each has to have looked at all tenants.
    ASSERT_TRUE(Eventually(
        [&] { return stack_.Run({"keys", "prune", "--roles", "alpha", "--config", Config()}).exit_code == 0; },
        absl::Minutes(1)));
    ASSERT_TRUE(Grows(kTaken, taken, 1));
    for (const v1::AcquireLeaseResponse& lease : before_) EXPECT_THAT(LogIn(lease), ::testing::IsEmpty());
  }
  EXPECT_EQ(stack_.PidOf("provisioner/alpha"), provisioner) << "it went on in its process";
}

// Roles that nobody has given new passwords yet are logged in to by the key before.
TEST_F(Keys, OfRolesThatNoProvisionerHasRenewed) {
  const std::string before = PasswordOf(tenants_[0]);
  const auto taken = CountOf(kTaken);
  stack_.Signal("provisioner/alpha", SIGSTOP);
  Rotate({"--roles", "alpha"});
  ASSERT_TRUE(Grows(kTaken, taken, 2));
  // These tenants' first log-ins: each needs a server.
  for (const v1::AcquireLeaseResponse& lease : before_) EXPECT_THAT(LogIn(lease), ::testing::IsEmpty());
  EXPECT_EQ(PasswordOf(tenants_[0]), before);
  // The key that they need stays as long as nobody says that they do not.
  const auto prune = [this](const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"keys", "prune", "--roles", "alpha", "--config", Config()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return stack_.Run(arguments);
  };
  const std::string both = Slurp(SecretFile("role-key-alpha"));
  Stack::Output refused = prune({});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, HasSubstr("roles of alpha: its provisioner does not answer"));
  EXPECT_THAT(refused.err, HasSubstr("--force takes the key away all the same"));
  refused = prune({"--gateway", "127.0.0.1:1"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, HasSubstr("provisioners are asked through the gateway"));
  EXPECT_EQ(Slurp(SecretFile("role-key-alpha")), both);
  stack_.Signal("provisioner/alpha", SIGCONT);
  ASSERT_TRUE(Eventually([&] { return PasswordOf(tenants_[0]) != before; }, absl::Minutes(1)));
  ASSERT_TRUE(Eventually([&] { return prune({}).exit_code == 0; }, absl::Minutes(1)));
  EXPECT_NE(Slurp(SecretFile("role-key-alpha")), both);
}

TEST_F(Keys, OfRolesGoByForceUnasked) {
  const std::string before = PasswordOf(tenants_[0]);
  Rotate({"--roles", "alpha"});
  stack_.Signal("provisioner/alpha", SIGSTOP);
  const std::string both = Slurp(SecretFile("role-key-alpha"));
  EXPECT_EQ(stack_.Run({"keys", "prune", "--config", Config()}).exit_code, 1);
  EXPECT_EQ(Slurp(SecretFile("role-key-alpha")), both);
  // Of what needs nobody's word nobody is asked.
  Do({"keys", "prune", "--signing", "--config", Config(), "--gateway", "127.0.0.1:1"});
  Do({"keys", "prune", "--roles", "alpha", "--force", "--config", Config(), "--gateway", "127.0.0.1:1"});
  EXPECT_NE(Slurp(SecretFile("role-key-alpha")), both);
  stack_.Signal("provisioner/alpha", SIGCONT);
  // One key: there is nothing to ask about.
  Do({"keys", "prune", "--roles", "alpha", "--config", Config(), "--gateway", "127.0.0.1:1"});
  ASSERT_TRUE(Eventually([&] { return PasswordOf(tenants_[0]) != before; }, absl::Minutes(1)));
}

TEST_F(Keys, FilesThatHoldNoneChangeNothing) {
  const std::map<std::string, std::string> good = {{"signing-keys", Slurp(SecretFile("signing-keys"))},
                                                   {"role-key-alpha", Slurp(SecretFile("role-key-alpha"))}};
  const std::string signing = "leasehold_reload_failures_total{file=\"signing keys\"}";
  const std::string roles = "leasehold_reload_failures_total{file=\"role key of alpha\"}";
  const double refused = ValueOf(ProvisionerMetrics(stack_, "alpha"), roles);
  for (const auto& [name, text] : good) std::ofstream(SecretFile(name)) << "# a comment\n1 hunter2\n";
  ASSERT_TRUE(Grows(signing, {0, 0}, 1));
  ASSERT_TRUE(Grows(roles, {0, 0}, 1));
  ASSERT_TRUE(Eventually([&] { return ValueOf(ProvisionerMetrics(stack_, "alpha"), roles) > refused; }));
  for (const std::string& log : {gateway_.Log(), LogOf(stack_, "gateway"), LogOf(stack_, "provisioner-alpha")}) {
    EXPECT_THAT(log, HasSubstr("what was read before stays"));
    EXPECT_THAT(log, HasSubstr("line 2 is not"));
    EXPECT_THAT(log, Not(HasSubstr("hunter2")));
  }
  for (const v1::AcquireLeaseResponse& lease : before_) EXPECT_THAT(LogIn(lease), ::testing::IsEmpty());
  const std::string another = stack_.CreateTenant(FreshTenantId());
  EXPECT_THAT(LogIn(stack_.Acquire(another, "alpha")), ::testing::IsEmpty());
  // Nor does the command make anything of them.
  const Stack::Output rotated = stack_.Run({"keys", "rotate", "--settle", "2s", "--config", Config()});
  EXPECT_EQ(rotated.exit_code, 1);
  EXPECT_THAT(rotated.err, HasSubstr("line 2 is not"));
  EXPECT_THAT(rotated.err, Not(HasSubstr("hunter2")));
  for (const auto& [name, text] : good) std::ofstream(SecretFile(name)) << text;
}

}  // namespace
}  // namespace leasehold::testing
