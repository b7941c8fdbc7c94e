// leasehold token, leasehold keys and leasehold policy check, as they are typed; none needs a gateway.
#include <gmock/gmock.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "common/policy/api_tokens.h"
#include "services/cli/verbs.h"

namespace leasehold::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

struct Outcome {
  int code = 0;
  std::string out;
  std::string err;
};

class OfflineTest : public testing::Test {
 protected:
  OfflineTest() : folder_(std::filesystem::path(testing::TempDir()) / ("token_test." + std::to_string(getpid()))) {
    std::filesystem::create_directories(folder_);
  }
  ~OfflineTest() override { std::filesystem::remove_all(folder_); }

  std::string In(const std::string& name) const { return folder_ / name; }
  std::string Text(const std::string& name) const { return *ReadTextFile("test", In(name)); }

  static Outcome Run(std::vector<std::string> args, const std::string& token_file = "") {
    const Environment env = [token_file](const char* name) -> std::optional<std::string> {
      if (std::string_view(name) == "LEASEHOLD_TOKEN_FILE" && !token_file.empty()) return token_file;
      if (std::string_view(name) == "LEASEHOLD_GATEWAY") return "127.0.0.1:1";
      return std::nullopt;
    };
    Command command(env, Terminal{});
    CLI::App app("Leasehold", "leasehold");
    ConfigureRoot(app, command);
    AddKeys(app, command);
    AddPolicy(app, command);
    AddPools(app, command);
    AddToken(app, command);
    ::testing::internal::CaptureStderr();
    ::testing::internal::CaptureStdout();
    const int code = Execute(app, command, std::move(args));
    std::string out = ::testing::internal::GetCapturedStdout();
    return {code, std::move(out), ::testing::internal::GetCapturedStderr()};
  }

  const std::filesystem::path folder_;
};

TEST_F(OfflineTest, ATokenIsMadeListedAndRevoked) {
  const Outcome made = Run({"token", "create", "payroll", "--file", In("tokens"), "--ttl", "1h"});
  ASSERT_EQ(made.code, kDone) << made.err;
  const std::string token = made.out.substr(0, made.out.size() - 1);
  struct stat file{};
  ASSERT_EQ(stat(In("tokens").c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 0777, 0600u);
  EXPECT_THAT(Text("tokens"), Not(HasSubstr(token)));
  const auto kept = ApiTokens::Parse(Text("tokens"));
  ASSERT_TRUE(kept.ok()) << kept.status();
  ASSERT_NE(kept->Find(token), nullptr);
  EXPECT_EQ(kept->Find(token)->name, "payroll");

  EXPECT_EQ(Run({"token", "create", "other", "--file", In("tokens")}).code, kDone);
  const Outcome again = Run({"token", "create", "payroll", "--file", In("tokens")});
  EXPECT_EQ(again.code, kFailed);
  EXPECT_THAT(again.err, HasSubstr("a name that no token has yet"));
  const Outcome list = Run({"token", "list", "--file", In("tokens")});
  EXPECT_THAT(list.out, HasSubstr("payroll"));
  EXPECT_THAT(list.out, HasSubstr("never"));
  EXPECT_THAT(list.out, Not(HasSubstr(kept->list()[0].sha256)));

  const auto json = [](const Outcome& outcome) {
    google::protobuf::Struct parsed;
    EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(outcome.out, &parsed).ok()) << outcome.out;
    return parsed.fields();
  };
  const auto listed = json(Run({"token", "list", "--file", In("tokens"), "--json"})).at("tokens").list_value();
  ASSERT_EQ(listed.values_size(), 2);
  EXPECT_EQ(listed.values(0).struct_value().fields().at("name").string_value(), "payroll");
  EXPECT_TRUE(listed.values(0).struct_value().fields().contains("expireTime"));
  EXPECT_FALSE(listed.values(1).struct_value().fields().contains("expireTime")) << "it has no end";
  const auto third = json(Run({"token", "create", "third", "--file", In("tokens"), "--json"}));
  EXPECT_EQ(ApiTokens::Parse(Text("tokens"))->Find(third.at("token").string_value())->name, "third");
  const Outcome revoked = Run({"token", "revoke", "third", "--file", In("tokens"), "--json"});
  EXPECT_EQ(json(revoked).at("tokens").list_value().values_size(), 2) << "what is left";

  EXPECT_EQ(Run({"token", "revoke", "payroll", "--file", In("tokens")}).code, kDone);
  EXPECT_EQ(ApiTokens::Parse(Text("tokens"))->Find(token), nullptr);
  EXPECT_EQ(ApiTokens::Parse(Text("tokens"))->list().size(), 1u);
  const Outcome gone = Run({"token", "revoke", "payroll", "--file", In("tokens")});
  EXPECT_EQ(gone.code, kFailed);
  EXPECT_THAT(gone.err, HasSubstr("there is no token payroll"));
}

// The gateway is another account mostly: what it cannot read any more revokes nothing.
TEST_F(OfflineTest, TheFileOfTokensStaysTheGateways) {
  ASSERT_EQ(Run({"token", "create", "payroll", "--file", In("tokens")}).code, kDone);
  const bool is_root = geteuid() == 0;
  if (is_root) {
    ASSERT_EQ(chown(In("tokens").c_str(), 4711, 4712), 0);
  }
  ASSERT_EQ(chmod(In("tokens").c_str(), 0640), 0);
  ASSERT_EQ(Run({"token", "create", "other", "--file", In("tokens")}).code, kDone);
  ASSERT_EQ(Run({"token", "revoke", "payroll", "--file", In("tokens")}).code, kDone);
  struct stat file{};
  ASSERT_EQ(stat(In("tokens").c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 0777, 0640u);
  EXPECT_EQ(file.st_uid, is_root ? 4711 : geteuid());
  if (is_root) {
    EXPECT_EQ(file.st_gid, 4712u);
  }
}

TEST_F(OfflineTest, WrongUseOfTokensIsExplained) {
  EXPECT_EQ(Run({"token", "create", "payroll"}).code, kUsage);
  EXPECT_EQ(Run({"token", "create", "Pay roll'", "--file", In("tokens")}).code, kUsage);
  EXPECT_EQ(Run({"token", "list", "--file", In("missing")}).code, kFailed);
  std::ofstream(In("tokens")) << "not a line\n";
  const Outcome bad = Run({"token", "create", "payroll", "--file", In("tokens")});
  EXPECT_EQ(bad.code, kFailed);
  EXPECT_THAT(bad.err, HasSubstr("line 1"));
  EXPECT_EQ(Text("tokens"), "not a line\n") << "it is not overwritten";
}

TEST_F(OfflineTest, KeysAreListedAndChangedForProgramsToo) {
  const std::string signing(64, 'a');
  const std::string role(64, 'b');
  std::ofstream(In("signing")) << "1 " << signing << "\n";
  std::ofstream(In("role")) << role << "\n";
  std::ofstream(In("leasehold.yaml")) << "leases: {signing_keys_file: " << In("signing")
                                      << "}\nservices: [{name: core, instance: {host: 127.0.0.1, role_key_file: "
                                      << In("role") << "}}]\n";
  const auto json_of = [&](std::vector<std::string> args) {
    args.insert(args.begin(), "keys");
    args.insert(args.end(), {"--config", In("leasehold.yaml"), "--json"});
    const Outcome outcome = Run(args);
    EXPECT_EQ(outcome.code, kDone) << outcome.err;
    google::protobuf::Struct json;
    EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(outcome.out, &json).ok()) << outcome.out;
    for (const std::string& secret : {signing, role}) EXPECT_THAT(outcome.out, Not(HasSubstr(secret)));
    return json.fields();
  };
  // "SIGNS 2" of each key.
  const auto signers = [](const auto& json) {
    std::vector<std::string> told;
    for (const auto& key : json.at("leases").struct_value().fields().at("keys").list_value().values()) {
      const auto& fields = key.struct_value().fields();
      told.push_back(fields.at("state").string_value() + " " + std::to_string(int(fields.at("id").number_value())) +
                     (fields.contains("signedUntil") ? " until then" : ""));
    }
    return told;
  };
  const auto states = [](const auto& json) {
    const auto& only = json.at("roles").list_value().values(0).struct_value().fields();
    EXPECT_EQ(only.at("service").string_value(), "core");
    std::vector<std::string> told;
    for (const auto& key : only.at("keys").list_value().values()) {
      EXPECT_EQ(key.struct_value().fields().at("fingerprint").string_value().size(), 8U);
      told.push_back(key.struct_value().fields().at("state").string_value());
    }
    return told;
  };
  const auto listed = json_of({"list"});
  EXPECT_THAT(signers(listed), ElementsAre("SIGNS 1"));
  EXPECT_EQ(listed.at("leases").struct_value().fields().at("file").string_value(), In("signing"));
  EXPECT_THAT(states(listed), ElementsAre("GIVEN_TO_ROLES"));

  const auto rotated = json_of({"rotate", "--settle", "2s"});
  EXPECT_THAT(signers(rotated), ElementsAre("SIGNS 2", "VERIFIES 1 until then"));
  EXPECT_THAT(states(rotated), ElementsAre("GIVEN_TO_ROLES", "TRIED_BY_GATEWAYS"));

  const auto pruned = json_of({"prune", "--roles", "core", "--force"});
  EXPECT_THAT(states(pruned), ElementsAre("GIVEN_TO_ROLES"));
  EXPECT_FALSE(pruned.contains("leases")) << "they were not asked for";
  EXPECT_EQ(Run({"keys", "list", "--json"}).code, kUsage) << "--config is missing";
}

TEST_F(OfflineTest, ThePolicyIsExplainedFromAFile) {
  std::ofstream(In("policy.yaml")) << R"(
rules:
  - {name: gold, principals: ["token:payroll"], operations: [lease.acquire], services: [core], tenants: [acme],
     tenant_settings: [tier=gold], access: [read-only], max_ttl: 10m, switch_to: ["acme-*"]}
)";
  const auto check = [&](std::vector<std::string> more) {
    std::vector<std::string> args = {"policy", "check",    "lease.acquire", "--file", In("policy.yaml"), "--service",
                                     "core",   "--access", "read-only",     "--as",   "token:payroll"};
    args.insert(args.end(), more.begin(), more.end());
    return Run(args);
  };
  const Outcome allowed = check({"--tenant", "acme"});
  EXPECT_EQ(allowed.code, kDone) << allowed.err;
  EXPECT_THAT(allowed.out, HasSubstr("allowed by the rule gold"));
  const Outcome refused = check({"--tenant", "globex"});
  EXPECT_EQ(refused.code, kFailed);
  EXPECT_THAT(refused.out, HasSubstr("gold: does not, it allows the tenants acme and those with tier=gold"));
  EXPECT_EQ(check({"--tenant", "globex", "--setting", "tier=gold"}).code, kDone);
  EXPECT_EQ(check({"--tenant", "acme", "--ttl", "11m"}).code, kFailed);
  EXPECT_EQ(check({"--tenant", "acme", "--switch-to", "acme-eu"}).code, kDone);
  EXPECT_EQ(check({"--tenant", "acme", "--switch-to", "*"}).code, kFailed);
  EXPECT_THAT(check({"--tenant", "acme", "--json"}).out, HasSubstr("\"allowed\": true"));
  // As `lease acquire` without --read-only would be.
  const Outcome plain = Run({"policy", "check", "lease.acquire", "--file", In("policy.yaml"), "--service",
                             "core-service", "--as", "token:payroll", "--tenant", "acme"});
  EXPECT_EQ(plain.code, kFailed);
  EXPECT_THAT(plain.out, HasSubstr("gold: does not, it allows the access read-only"));
}

TEST_F(OfflineTest, WrongUseOfPolicyCheckIsExplained) {
  std::ofstream(In("policy.yaml")) << "rules: 3\n";
  EXPECT_EQ(Run({"policy", "check", "lease.aquire", "--as", "x"}).code, kUsage);
  EXPECT_EQ(Run({"policy", "check", "lease.acquire", "--file", In("policy.yaml")}).code, kUsage);
  EXPECT_EQ(Run({"policy", "check", "lease.acquire", "--setting", "a=b"}).code, kUsage);
  EXPECT_EQ(Run({"policy", "check", "lease.acquire", "--access", "write"}).code, kUsage);
  const Outcome bad = Run({"policy", "check", "lease.acquire", "--file", In("policy.yaml"), "--as", "x"});
  EXPECT_EQ(bad.code, kFailed);
  EXPECT_THAT(bad.err, HasSubstr("rules"));
}

TEST_F(OfflineTest, ATokenFileIsReadBeforeAGatewayIsAsked) {
  EXPECT_THAT(Run({"pools", "--token-file", In("missing")}).err, HasSubstr(In("missing")));
  EXPECT_THAT(Run({"pools"}, In("missing")).err, HasSubstr(In("missing")));
  std::ofstream(In("token")) << "lht_x\n";
  const Outcome clear = Run({"pools", "--token-file", In("token"), "--gateway", "gateway.example.org:7450"});
  EXPECT_EQ(clear.code, kFailed);
  EXPECT_THAT(clear.err, HasSubstr("in clear"));
  EXPECT_THAT(Run({"pools", "--token-file", In("token")}).err, HasSubstr("does not answer"));
}

}  // namespace
}  // namespace leasehold::cli
