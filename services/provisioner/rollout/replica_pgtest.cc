// A provisioner that is pointed at a replica: a real one, made with pg_basebackup.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "common/localserver/account.h"
#include "common/status/error.h"
#include "services/provisioner/rollout/findings.h"
#include "services/provisioner/rollout/rollout_fixture.h"

namespace leasehold::provisioner {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class ReplicaTest : public RolloutFixture {
 protected:
  // Follows the test's server from now on; returns when it has all of it.
  void StartReplica() {
    const std::string data = directory_.path() + "/data";
    ASSERT_TRUE(std::filesystem::create_directory(data));
    ASSERT_EQ(chmod(data.c_str(), 0700), 0);
    std::string user;
    if (geteuid() == 0) {
      user = "postgres";
      const auto account = localserver::FindAccount(user);
      ASSERT_TRUE(account.ok()) << account.status();
      ASSERT_EQ(chown(data.c_str(), account->uid, account->gid), 0);
    }
    const auto program =
        localserver::FindProgram("pg_basebackup", std::vector<std::string>{"/usr/lib/postgresql/17/bin"});
    ASSERT_TRUE(program.ok()) << program.status();
    auto copying = localserver::ChildProcess::Start(
        {.argv = {*program, "-D", data, "-R", "--checkpoint=fast", "-d", test_->server().SuperuserDsn()},
         .environment = {"LC_ALL=C.UTF-8"},
         .log_path = data + ".copy.log",
         .working_dir = "/",
         .user = user});
    ASSERT_TRUE(copying.ok()) << copying.status();
    ASSERT_EQ((*copying)->Wait(), 0) << localserver::LastLines(data + ".copy.log");
    auto server = localserver::PostgresServer::Start(
        {.data_dir = data, .superuser_password = Secret("as the primary's"), .settings = {"max_connections=60"}});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    v1::InstanceConfig config;
    config.set_host("127.0.0.1");
    config.set_port(server_->port());
    config.set_database("identity_central");
    config.set_username("leasehold");
    config.set_sslmode("disable");
    instance_.emplace(TestInstance::OptionsFor(config));
    pool_ = std::make_unique<postgres::ConnectionPool>(instance_->AsLogin(instance_->central_database()), 4);
    follower_ = std::make_unique<Rollout>(
        options_, Rollout::Parts{.instance = *instance_, .central = *pool_, .clock = clock_, .metrics = metrics_});
  }

  const localserver::TemporaryDirectory directory_;
  std::unique_ptr<localserver::PostgresServer> server_;
  std::optional<Instance> instance_;
  std::unique_ptr<postgres::ConnectionPool> pool_;
  std::unique_ptr<Rollout> follower_;
};

TEST_F(ReplicaTest, PreflightNamesIt) {
  AddTenants(1);
  ASSERT_NO_FATAL_FAILURE(StartReplica());
  const auto fleet = ListFleet(*pool_->Take(), *instance_);
  ASSERT_TRUE(fleet.ok()) << fleet.status();
  const auto found = InspectFleet(*pool_->Take(), *instance_, *fleet, rollout_->files(), 1);
  ASSERT_TRUE(found.ok()) << found.status();
  const auto is_read_only = [](const auto& finding) { return finding.code() == "read-only"; };
  const auto finding = std::ranges::find_if(*found, is_read_only);
  ASSERT_NE(finding, found->end());
  EXPECT_EQ(finding->severity(), v1::MIGRATION_SEVERITY_ERROR);
  EXPECT_EQ(finding->object(), "server");
  EXPECT_THAT(finding->remedy(), HasSubstr("primary"));

  const auto of_primary = InspectFleet(*central_->Take(), test_->instance(), *fleet, rollout_->files(), 1);
  ASSERT_TRUE(of_primary.ok()) << of_primary.status();
  EXPECT_TRUE(std::ranges::none_of(*of_primary, is_read_only));
}

TEST_F(ReplicaTest, TellsItsStatusAndBeginsNoRun) {
  AddTenants(2);
  ASSERT_NO_FATAL_FAILURE(StartReplica());
  MigrationCalls calls(*follower_);
  const auto status = calls.Status({});
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(status->total(), 3);

  v1::MigrationCall call;
  *call.mutable_start()->mutable_spec() = Spec(v1::MIGRATION_KIND_APPLY);
  v1::MigrationAnswer answer;
  ASSERT_TRUE(answer.ParseFromString(calls.Answer(call.SerializeAsString())));
  EXPECT_THAT(answer.error(), AllOf(HasSubstr("it is a replica"), HasSubstr("the primary is wanted")));
  EXPECT_EQ(Central("SELECT count(*) FROM leasehold.runs"), "0");
}

TEST_F(ReplicaTest, OnceItIsThePrimaryRunsGoOnThere) {
  AddTenants(2);
  const std::string id = Begin(Spec(v1::MIGRATION_KIND_APPLY)).id();
  ASSERT_NO_FATAL_FAILURE(StartReplica());
  // A lock is no change, so it gets as far as what it would write.
  EXPECT_THAT(ClientText(follower_->WorkOne().status()), HasSubstr("it is a replica")) << "which the log says";
  postgres::Connection superuser({.dsn = postgres::Dsn("127.0.0.1", server_->port(), "postgres", "postgres", "disable"),
                                  .password = TestInstance::superuser_password()});
  const auto promoted = superuser.ExecAlone("SELECT pg_promote(wait => true)");
  ASSERT_TRUE(promoted.ok()) << promoted.status();
  ASSERT_TRUE((*promoted)[0][0].as<bool>());
  const auto worked = follower_->WorkOne();
  ASSERT_TRUE(worked.ok()) << worked.status();
  EXPECT_EQ(MigrationCalls(*follower_).Get(id)->state(), v1::MIGRATION_RUN_STATE_SUCCEEDED);
}

}  // namespace
}  // namespace leasehold::provisioner
