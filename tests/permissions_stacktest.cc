// docs/nats-users.conf under the daemons themselves: gateways and provisioners, each as its own user of NATS, carry a
// tenant through its life; and the password of one user is of no use in another's place.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <format>
#include <fstream>
#include <map>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "common/jetstream/handles.h"
#include "common/jetstream/options.h"
#include "tests/stack/gateway.h"
#include "tests/stack/outputs.h"
#include "tests/stack/provisioner.h"
#include "tests/stack/stack.h"
#include "tests/stack/tenants.h"

namespace leasehold::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kViolation[] = "Violation";

// The stack's PostgreSQL servers with daemons of our own, which a NATS with users serves.
class Permissions : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { ground_ = new Ground(); }
  static void TearDownTestSuite() { delete std::exchange(ground_, nullptr); }

  struct Ground {
    Ground() {
      for (const char* daemon : {"gateway", "provisioner/alpha", "provisioner/beta"}) stack.Kill(daemon);
      for (const auto& [user, password] : passwords) {
        setenv(absl::StrCat("NATS_", Variable(user), "_PASSWORD").c_str(), password.c_str(), 1);
        std::ofstream(PasswordFile(user)) << password << "\n";
      }
      std::ofstream(folder.path() + "/nats-users.conf") << Users();
      auto server = localserver::NatsServer::Start(
          {.data_dir = folder.path() + "/nats", .arguments = {"--config", folder.path() + "/nats-users.conf"}});
      if (!server.ok()) ADD_FAILURE() << server.status();
      nats = *std::move(server);
      gateway.emplace(stack, As("gateway"));
      other.emplace(stack, As("gateway"));
      for (const char* service : {"alpha", "beta"}) {
        provisioners.emplace_back(std::make_unique<Provisioner>(stack, service, "", Provisioner::Spares::kAsConfigured,
                                                                As(absl::StrCat("provisioner-", service))));
      }
    }

    static std::string Variable(const std::string& user) {
      return absl::StrReplaceAll(absl::AsciiStrToUpper(user), {{"-", "_"}});
    }
    std::string PasswordFile(const std::string& user) const { return absl::StrCat(folder.path(), "/", user); }

    // The file, in which the provisioner's user has been copied for each service as the file says.
    static std::string Users() {
      std::string text;
      for (const absl::string_view paragraph : absl::StrSplit(Slurp(LEASEHOLD_NATS_USERS), "\n\n")) {
        if (!absl::StrContains(paragraph, "user: \"provisioner-identity\"")) {
          absl::StrAppend(&text, paragraph, "\n\n");
          continue;
        }
        for (const char* service : {"alpha", "beta"}) {
          absl::StrAppend(
              &text,
              absl::StrReplaceAll(
                  paragraph, {{"identity", service},
                              {"$NATS_PROVISIONER_PASSWORD",
                               absl::StrCat("$NATS_", Variable(absl::StrCat("provisioner-", service)), "_PASSWORD")}}),
              "\n\n");
        }
      }
      return text;
    }

    Gateway::Change As(const std::string& user) const {
      return [this, user](v1::Config& config) {
        config.mutable_nats()->set_url(nats->Url());
        config.mutable_nats()->set_username(user);
        config.mutable_nats()->set_password_file(PasswordFile(user));
        if (gateway) config.mutable_provisioner()->set_gateway(gateway->grpc());
      };
    }

    const std::map<std::string, std::string> passwords = {{"gateway", "staple-battery-1"},
                                                          {"provisioner-alpha", "staple-battery-2"},
                                                          {"provisioner-beta", "staple-battery-3"},
                                                          {"announcer", "staple-battery-4"}};
    const localserver::TemporaryDirectory folder;
    // Its own daemons had a NATS without users.
    Stack stack{{}, "", {"--no-restart"}};
    std::unique_ptr<localserver::NatsServer> nats;
    std::optional<Gateway> gateway;
    std::optional<Gateway> other;
    std::vector<std::unique_ptr<Provisioner>> provisioners;
  };

  // The command line, at the first gateway; what it says, or why it failed.
  static std::string Do(std::vector<std::string> arguments) {
    const std::string what = absl::StrJoin(arguments, " ");
    arguments.insert(arguments.begin(), {"--gateway", ground_->gateway->grpc()});
    const Stack::Output output = ground_->stack.Run(arguments);
    EXPECT_EQ(output.exit_code, 0) << what << ": " << output.out << output.err << ground_->gateway->Log();
    return output.out;
  }
  static bool Is(const std::string& tenant, const std::string& state) {
    const Stack::Output output =
        ground_->stack.Run({"--gateway", ground_->gateway->grpc(), "tenant", "get", tenant, "--json"});
    return output.out.contains("TENANT_STATE_" + state);
  }
  static std::string Dsn(const std::string& tenant, const std::string& service) {
    return std::string(absl::StripAsciiWhitespace(
        Do({"lease", "acquire", tenant, service, "--switch-to", "*", "--ttl", "5m", "--dsn"})));
  }
  static std::string There(const std::string& dsn) {
    return absl::StrReplaceAll(dsn, {{ground_->gateway->sql(), ground_->other->sql()}});
  }

  static std::unique_ptr<jetstream::Client> ClientOf(const std::string& user) {
    auto client = jetstream::Connect({.url = ground_->nats->Url(), .name = user},
                                     {.username = user, .password = Secret(ground_->passwords.at(user))});
    EXPECT_TRUE(client.ok()) << client.status();
    return *std::move(client);
  }
  static std::string NatsLog() { return Slurp(ground_->folder.path() + "/nats.log"); }
  // nats-server has refused that.
  static bool IsRefused(const std::string& what, const std::string& user, const std::string& subject) {
    const std::string line = std::format("{} {} - User \"{}\", Subject \"{}\"", what, kViolation, user, subject);
    return Eventually([&] { return NatsLog().contains(line); }, absl::Seconds(10));
  }
  // As the owner of `tenant` would see it.
  static std::string Announcement(const std::string& tenant, const std::string& id, const std::string& more = "") {
    return std::format(
        R"({{"specversion":"1.0","id":"{}","source":"announcer","type":"leasehold.tenant.created.v1","subject":"{}",)"
        R"("time":"2026-01-01T00:00:00Z","datacontenttype":"application/json","data":{{"id":"{}"{}}}}})",
        id, tenant, tenant, more);
  }

  // Who has a user's password, and tries whatever there is.
  class Intruder {
   public:
    explicit Intruder(const std::string& user) : user_(user) {
      natsOptions* options = nullptr;
      EXPECT_EQ(natsOptions_Create(&options), NATS_OK);
      const jetstream::NatsOptionsPtr owned(options);
      natsOptions_SetURL(options, ground_->nats->Url().c_str());
      natsOptions_SetUserInfo(options, user.c_str(), ground_->passwords.at(user).c_str());
      natsOptions_SetErrorHandler(options, [](natsConnection*, natsSubscription*, natsStatus, void*) {}, nullptr);
      natsConnection* nats = nullptr;
      EXPECT_EQ(natsConnection_Connect(&nats, options), NATS_OK) << user;
      nats_.reset(nats);
    }
    const std::string& user() const { return user_; }

    void Publish(const std::string& subject, const std::string& payload) {
      EXPECT_EQ(natsConnection_PublishString(nats_.get(), subject.c_str(), payload.c_str()), NATS_OK) << subject;
      EXPECT_EQ(natsConnection_Flush(nats_.get()), NATS_OK);
    }
    void Subscribe(const std::string& subject) {
      natsSubscription* subscription = nullptr;
      EXPECT_EQ(natsConnection_SubscribeSync(&subscription, nats_.get(), subject.c_str()), NATS_OK) << subject;
      subscriptions_.emplace_back(subscription);
      EXPECT_EQ(natsConnection_Flush(nats_.get()), NATS_OK);
    }
    // What has come by all of that.
    int heard() const {
      int sum = 0;
      for (const auto& subscription : subscriptions_) {
        int messages = 0;
        natsSubscription_GetPending(subscription.get(), &messages, nullptr);
        sum += messages;
      }
      return sum;
    }

   private:
    const std::string user_;
    jetstream::NatsConnectionPtr nats_;
    std::vector<jetstream::NatsSubscriptionPtr> subscriptions_;
  };

  static Ground* ground_;
};

Permissions::Ground* Permissions::ground_ = nullptr;

TEST_F(Permissions, ATenantsLifeNeedsNoMore) {
  Stack& stack = ground_->stack;
  for (const char* tenant : {"acme", "globex"}) Do({"tenant", "create", tenant, "--wait"});
  ASSERT_EQ(ClientOf("announcer")->Publish("tenants.initech.created", Announcement("initech", "1"), {}, ""),
            absl::OkStatus());
  EXPECT_TRUE(Eventually([] { return Is("initech", "ACTIVE"); }));

  // Leases, and what gateways tell each other of them.
  const std::string dsn = Dsn("acme", "alpha");
  {
    pqxx::connection here(dsn);
    pqxx::connection there(There(dsn));
    EXPECT_EQ(*Value(here, "SELECT current_database()"), "tenant_acme_alpha");
    pqxx::nontransaction(here).exec("SET leasehold.tenant = 'globex'");
    EXPECT_EQ(*Value(here, "SELECT current_database()"), "tenant_globex_alpha");
    EXPECT_EQ(*Value(there, "SELECT 1"), "1");
    Do({"lease", "revoke", "--tenant", "acme"});
    EXPECT_TRUE(Eventually([&] { return !Value(there, "SELECT 1").ok(); }, absl::Seconds(5)));
  }

  Do({"tenant", "suspend", "acme", "--wait"});
  EXPECT_TRUE(Eventually([&] { return IsClosed(stack, "acme"); }));
  Do({"tenant", "resume", "acme", "--wait"});
  EXPECT_TRUE(IsOpen(stack, "acme"));

  // What gateways ask provisioners, and what these tell of backups and copies.
  for (const char* service : {"alpha", "beta"}) {
    Do({"migrate", "status", service});
    Do({"migrate", "plan", service});
    Do({"migrate", "apply", service});
    EXPECT_THAT(Do({"migrate", "runs", service}), HasSubstr(std::string(service) + "."));
  }
  WriteNote(stack, "acme", "kept");
  Do({"backup", "create", "acme", "--wait"});
  EXPECT_THAT(Do({"backup", "list", "acme"}), HasSubstr("acme."));
  Do({"tenant", "clone", "acme", "copy", "--wait"});
  EXPECT_EQ(NotesOf(stack, "copy"), "kept");
  Do({"operation", "list", "--tenant", "acme"});
  EXPECT_THAT(Do({"instances", "--tenant", "acme"}), HasSubstr("tenant_acme_beta"));
  EXPECT_TRUE(Eventually([&] { return stack.Run({"--gateway", ground_->gateway->grpc(), "status"}).exit_code == 0; }))
      << stack.Run({"--gateway", ground_->gateway->grpc(), "status"}).out;
  EXPECT_TRUE(Eventually([&] { return stack.Run({"--gateway", ground_->gateway->grpc(), "doctor"}).exit_code == 0; }));

  Do({"keys", "rotate", "--settle", "8s", "--config", ground_->gateway->config()});
  EXPECT_TRUE(Eventually([] {
    try {
      return *Value(*std::make_unique<pqxx::connection>(Dsn("acme", "beta")), "SELECT 1") == "1";
    } catch (const pqxx::failure&) {
      return false;
    }
  }));

  Do({"tenant", "delete", "acme", "--retention", "0", "--wait"});
  EXPECT_TRUE(Eventually([&] { return NothingIsLeftOf(stack, "acme"); }));
  EXPECT_TRUE(
      Eventually([] { return ValueOf(MetricsOf(ground_->gateway->http()), "leasehold_audit_published_record") > 0; }));
  Do({"audit", "verify"});
  EXPECT_THAT(NatsLog(), Not(HasSubstr(kViolation)));
}

TEST_F(Permissions, NobodyActsInAnothersPlace) {
  Stack& stack = ground_->stack;
  Intruder alpha("provisioner-alpha");
  Intruder announcer("announcer");
  Do({"tenant", "create", "hooli", "--wait"});
  const std::string suspended =
      absl::StrReplaceAll(Announcement("hooli", "forged", R"(,"generation":"99","desired":"DESIRED_STATE_CLOSED")"),
                          {{"tenant.created", "tenant.suspended"}});

  struct Forged {
    Intruder* by;
    std::string subject;
    std::string payload = "{}";
  };
  for (const auto& [by, subject, payload] :
       std::vector<Forged>{// The registry's word.
                           {&alpha, "tenants.hooli.suspended", suspended},
                           {&alpha, "tenants.hooli.created", Announcement("hooli", "forged")},
                           {&announcer, "tenants.hooli.suspended", suspended},
                           {&announcer, "tenants.hooli.deleted"},
                           // What another provisioner has made.
                           {&alpha, "provisioning.beta.hooli.failed"},
                           {&announcer, "provisioning.alpha.hooli.removed"},
                           // Leases.
                           {&alpha, "$KV.leases.revocation.1-1"},
                           {&announcer, "$KV.leases.revocation.1-1"},
                           // What gateways ask provisioners.
                           {&alpha, "migration.beta"},
                           {&alpha, "migration.alpha"},
                           {&alpha, "instance.beta.all"},
                           {&announcer, "migration.alpha"},
                           {&announcer, "instance.alpha"},
                           // The trail, and what the streams hold.
                           {&alpha, "audit.records"},
                           {&alpha, "$JS.API.STREAM.MSG.GET.KV_leases"},
                           {&alpha, "$JS.API.DIRECT.GET.KV_leases"},
                           {&alpha, "$JS.API.STREAM.PURGE.TENANTS"},
                           {&alpha, "$JS.API.STREAM.UPDATE.PROVISIONING"},
                           {&alpha, "$JS.API.CONSUMER.MSG.NEXT.TENANTS.provisioner-beta"},
                           {&alpha, "$JS.API.CONSUMER.DELETE.TENANTS.provisioner-beta"},
                           {&alpha, "$JS.API.CONSUMER.CREATE.TENANTS.spy.tenants.>"},
                           {&alpha, "$JS.API.CONSUMER.CREATE.TENANTS.provisioner-alpha.tenants.>"},
                           {&alpha, "$JS.API.CONSUMER.DURABLE.CREATE.TENANTS.provisioner-alpha"},
                           {&alpha, "$JS.API.CONSUMER.CREATE.PROVISIONING.provisioner-alpha.>"},
                           {&announcer, "$JS.API.CONSUMER.CREATE.TENANTS.spy.tenants.>"}}) {
    by->Publish(subject, payload);
    EXPECT_TRUE(IsRefused("Publish", by->user(), subject)) << by->user() << " " << subject;
  }

  // What is meant for others, answers to a gateway among it; and to answer in another's name.
  for (const std::string subject : {"migration.beta", "instance.beta", "instance.*", "_INBOX.>", "_INBOX.gateway.>",
                                    "provisioning.>", "tenants.>", "$KV.leases.>", "audit.records", "$JS.>", ">"}) {
    for (Intruder* by : {&alpha, &announcer}) {
      by->Subscribe(subject);
      EXPECT_TRUE(IsRefused("Subscription", by->user(), subject)) << by->user() << " " << subject;
    }
  }

  // An announcer may say created, and gets no further by saying more: not to suspend a tenant, nor to outrun the
  // registry. The one after it is taken up behind it.
  announcer.Publish("tenants.hooli.created",
                    Announcement("hooli", "2", R"(,"generation":"99","desired":"DESIRED_STATE_CLOSED")"));
  announcer.Publish("tenants.after.created", Announcement("after", "3"));
  EXPECT_TRUE(Eventually([] { return Is("after", "ACTIVE"); }));
  EXPECT_TRUE(IsOpen(stack, "hooli"));
  EXPECT_TRUE(Is("hooli", "ACTIVE"));
  EXPECT_EQ(stack.OnInstance("alpha", "SELECT generation FROM leasehold.tenants WHERE id = 'hooli'", "alpha_central"),
            "1");
  Do({"migrate", "status", "beta"});
  Do({"instances"});
  EXPECT_EQ(alpha.heard() + announcer.heard(), 0);
  pqxx::connection session(Dsn("hooli", "beta"));
  EXPECT_EQ(*Value(session, "SELECT 1"), "1");
}

}  // namespace
}  // namespace leasehold::testing
