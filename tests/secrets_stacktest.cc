// After a scenario of everything no secret is found in anything but the files that are there to hold it: not in logs,
// metrics, the streams of NATS, answers, errors, the audit trail, processes' arguments and environments, or the folder
// of the stack. And a secret that is put there is found.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <thread>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/secret/key_ring.h"
#include "common/secret/secret.h"
#include "tests/stack/outputs.h"
#include "tests/stack/stack.h"

namespace leasehold::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Arguments and environments of all processes that there are while it looks, those that live for a moment too.
class ProcessWatch {
 public:
  ~ProcessWatch() { Stop(); }

  void Start() {
    thread_ = std::thread([this] {
      for (; !over_; absl::SleepFor(absl::Milliseconds(20))) Look();
    });
  }
  // The programs that a provisioner runs with a password in their environment are left out with that: docs/security.md
  // says so of them.
  void Look() {
    for (const fs::directory_entry& process : fs::directory_iterator("/proc")) {
      if (int pid = 0; !absl::SimpleAtoi(process.path().filename().string(), &pid)) continue;
      const std::string arguments = Slurp(process.path() / "cmdline");
      if (arguments.empty() || !known_.insert(absl::StrCat(process.path().string(), arguments)).second) continue;
      seen_.insert(arguments);
      const bool has_a_password = arguments.contains("/pg_dump") || arguments.contains("/pg_restore");
      if (!has_a_password) seen_.insert(Slurp(process.path() / "environ"));
    }
  }
  // Every text that was seen.
  std::string Stop() {
    over_ = true;
    if (thread_.joinable()) thread_.join();
    return absl::StrJoin(seen_, "\n");
  }

 private:
  std::atomic<bool> over_ = false;
  std::set<std::string> known_;
  std::set<std::string> seen_;
  std::thread thread_;
};

// Looks for many texts at once.
class Needles {
 public:
  void Add(const std::string& name, const std::string& text) {
    names_[text] = name;
    begins_[Begin(text.data())] = true;
  }
  size_t size() const { return names_.size(); }

  std::set<std::string> FoundIn(const std::string& haystack) const {
    std::set<std::string> found;
    for (size_t at = 0; at + 1 < haystack.size(); ++at) {
      if (!begins_[Begin(haystack.data() + at)]) continue;
      for (const auto& [text, name] : names_) {
        if (haystack.compare(at, text.size(), text) == 0) found.insert(name);
      }
    }
    return found;
  }

 private:
  static size_t Begin(const char* text) {
    return static_cast<size_t>(static_cast<uint8_t>(text[0])) << 8 | static_cast<uint8_t>(text[1]);
  }

  std::map<std::string, std::string> names_;  // by text
  std::vector<bool> begins_ = std::vector<bool>(1 << 16);
};

class Secrets : public ::testing::Test {
 protected:
  // `what` has to be found nowhere, in whatever form one writes it down.
  void Keep(const std::string& name, const std::string& secret) {
    ASSERT_GE(secret.size(), 16U) << name << ": too short to look for";
    kept_.Add(name, secret);
    if (const auto bytes = FromHex(secret); bytes.ok()) {
      kept_.Add(name + " (bytes)", *bytes);
      kept_.Add(name + " (base64)", Base64(*bytes));
      kept_.Add(name + " (base64url)", Base64Url(*bytes));
    }
  }

  void LookAt(const std::string& where, const std::string& haystack) {
    ++looked_at_;
    for (const std::string& name : kept_.FoundIn(haystack)) found_.push_back(absl::StrCat(name, " is in ", where));
  }

  void KeepFiles() {
    for (const fs::directory_entry& file : fs::directory_iterator(SecretFolder())) {
      for (const absl::string_view line : absl::StrSplit(Slurp(file.path()), '\n', absl::SkipEmpty())) {
        if (line.starts_with('#')) continue;
        const std::vector<std::string> words = absl::StrSplit(line, ' ');
        Keep(file.path().filename(), words.back());
      }
    }
  }

  // Of all databases that PostgreSQL knows, by each key that has been the service's.
  void KeepRoles(const std::string& service) {
    const std::string ids =
        stack_.OnInstance(service,
                          "SELECT string_agg(regexp_replace(shobj_description(oid, 'pg_database'), '^.*:', ''), ',')"
                          " FROM pg_database WHERE datname LIKE 'tenant\\_%'");
    const RoleKeys keys = RoleKeys::ReadFile(absl::StrCat(SecretFolder(), "role-key-", service)).value();
    for (const absl::string_view id : absl::StrSplit(absl::StrCat(ids, ",central"), ',')) {
      ASSERT_TRUE(id == "central" || id.size() == 16) << id;
      for (const RoleKey& key : {keys.current(), keys.other().value_or(keys.current())}) {
        for (const RoleKind kind : {RoleKind::kOwner, RoleKind::kReadOnly}) {
          Keep(absl::StrCat("a password of ", id), std::string(key.PasswordOf(std::string(id), kind).reveal()));
        }
      }
    }
  }

  v1::AcquireLeaseResponse Lease(const std::string& tenant, const Stack::LeaseOptions& options = {}) {
    v1::AcquireLeaseResponse lease = stack_.Acquire(tenant, "alpha", options);
    Keep("a lease's password", lease.credentials().password());
    return lease;
  }

  std::string SecretFolder() const { return stack_.state_dir() + "/secrets/"; }
  std::string Config() const { return stack_.state_dir() + "/config.yaml"; }
  std::string Trail() {
    return stack_.OnInstance("registry", "SELECT string_agg(events, '') FROM leasehold.audit", "leasehold");
  }

  // Each file of the stack below `folder`: logs, NATS' streams and buckets, PostgreSQL's logs, tables and WAL, backups.
  void LookAtFiles(const std::string& folder) {
    for (const fs::directory_entry& file : fs::recursive_directory_iterator(stack_.state_dir() + folder)) {
      const std::string path = file.path();
      std::error_code gone;
      if (!file.is_regular_file(gone) || path.starts_with(SecretFolder())) continue;
      if (file.path().filename() == "stack.env") continue;  // the superusers' DSNs are what it is for, in development
      LookAt(path.substr(stack_.state_dir().size()), Slurp(path));
    }
  }

  // Where kept secrets are now; each place is named.
  std::vector<std::string> Search(const std::string& processes) {
    found_.clear();
    LookAt("arguments or environments", processes);
    LookAt("the gateway's metrics", MetricsOf(stack_.Env("LEASEHOLD_HTTP")));
    for (const char* service : {"alpha", "beta"})
      LookAt("a provisioner's metrics", ProvisionerMetrics(stack_, service));
    // As text: in its files it may be compressed.
    LookAt("the audit trail", Trail());
    LookAt("the registry's tables",
           stack_.OnInstance("registry", "SELECT database_to_xml(true, false, '')::text", "leasehold"));
    LookAtFiles("");
    return found_;
  }

  Stack stack_{{"LOG_DB_QUERIES=true"}};
  Needles kept_;
  std::vector<std::string> found_;
  int looked_at_ = 0;
};

TEST_F(Secrets, AreWhereTheyBelongAndNowhereElse) {
  ProcessWatch processes;
  processes.Start();
  // The scenario: each kind of work, done and refused.
  const std::string one = stack_.CreateTenant(FreshTenantId());
  const std::string two = stack_.CreateTenant(FreshTenantId());
  KeepFiles();
  std::string answers;
  const auto run = [&](const std::vector<std::string>& arguments, int exit_code = 0) {
    const Stack::Output output = stack_.Run(arguments);
    absl::StrAppend(&answers, output.out, output.err);
    EXPECT_EQ(output.exit_code, exit_code) << absl::StrJoin(arguments, " ") << ": " << output.err;
  };
  Stack::LeaseOptions options;
  options.switch_to = {"*"};
  options.holder = "secrets-test";
  const v1::AcquireLeaseResponse lease = Lease(one, options);
  const std::string id = lease.lease().id();
  {
    pqxx::connection session(lease.credentials().dsn());
    Value(session, absl::StrCat("SET leasehold.tenant = '", two, "'")).IgnoreError();
    Value(session, "SET leasehold.tenant = 'nobody'").IgnoreError();
    Value(session, "SELECT * FROM nothing").IgnoreError();
    // Who changes a role's password says it in a statement, and statements are logged here.
    Value(session, "SHOW leasehold.session").IgnoreError();
  }
  for (const std::string& dsn :
       {absl::StrCat(lease.credentials().dsn(), "&application_name=x"),
        std::string("postgresql://lh1.nobody:not-the-password@") + stack_.Env("LEASEHOLD_SQL") + "/x"}) {
    try {
      pqxx::connection session(dsn);
    } catch (const pqxx::failure& why) {
      absl::StrAppend(&answers, why.what());
    }
  }
  run({"lease", "renew", id, "--json"});
  run({"lease", "switch", id, two, "--json"});
  run({"lease", "show", id, "--json"});
  run({"lease", "list", "--json"});
  run({"lease", "revoke", id});
  run({"lease", "renew", id}, 1);
  run({"lease", "acquire", "nobody", "alpha"}, 1);
  run({"tenant", "suspend", two});
  run({"tenant", "resume", two, "--wait"});
  run({"tenant", "update", two, "--setting", "plan=gold"});
  run({"tenant", "list", "--json"});
  run({"backup", "create", one, "--wait"});
  run({"migrate", "status", "alpha"});
  run({"doctor", "--json"});
  run({"pools", "--json"});
  run({"operation", "list", "--json"});
  run({"keys", "list", "--config", stack_.state_dir() + "/config.yaml"});
  run({"keys", "rotate", "--settle", "2s", "--config", stack_.state_dir() + "/config.yaml"});
  KeepFiles();
  run({"audit", "--json", "--limit", "1000"});
  run({"audit", "verify"});
  KeepRoles("alpha");
  KeepRoles("beta");
  ASSERT_GT(kept_.size(), 30U);
  const std::string lived = processes.Stop();
  EXPECT_THAT(lived, HasSubstr("leasehold-provisioner"));

  EXPECT_THAT(answers, HasSubstr(id)) << "the answers are those of this scenario";
  EXPECT_THAT(Trail(), HasSubstr(id)) << "… and so is the trail";
  EXPECT_THAT(MetricsOf(stack_.Env("LEASEHOLD_HTTP")), HasSubstr("leasehold_audit_events_total"));
  EXPECT_THAT(Search(lived), IsEmpty());
  LookAt("the command line's answers", answers);
  EXPECT_THAT(found_, IsEmpty());
  EXPECT_GT(looked_at_, 100);
#if !__has_feature(address_sanitizer)
  for (const char* component : {"gateway", "provisioner/alpha"}) {
    const std::string limits = Slurp(absl::StrCat("/proc/", stack_.PidOf(component), "/limits"));
    EXPECT_THAT(limits, ::testing::ContainsRegex("Max core file size +0 ")) << component << " would dump its memory";
  }
#endif
}

// Each way out, taken on purpose.
TEST_F(Secrets, AreFoundWhereTheyDoNotBelong) {
  const std::string tenant = stack_.CreateTenant(FreshTenantId());
  const std::string secret = Lease(tenant).credentials().password();
  KeepFiles();
  EXPECT_THAT(Search(""), IsEmpty());

  ProcessWatch processes;
  const auto child = localserver::ChildProcess::Start(
      {.argv = {"sleep", "60"}, .environment = {"PLANTED=" + secret}, .log_path = "", .working_dir = "", .user = ""});
  ASSERT_TRUE(child.ok()) << child.status();
  const auto another = localserver::ChildProcess::Start(
      {.argv = {"sh", "-c", "sleep 60", secret}, .environment = {}, .log_path = "", .working_dir = "", .user = ""});
  ASSERT_TRUE(another.ok()) << another.status();
  for (const auto* process : {&child, &another}) {
    const std::string arguments = absl::StrCat("/proc/", (**process)->pid(), "/cmdline");
    ASSERT_TRUE(Eventually([&] { return Slurp(arguments).contains("sleep"); }));
  }
  // A caller's own words are recorded: whoever passes a password for a name has it in the trail and its stream.
  Stack::LeaseOptions options;
  options.holder = secret;
  stack_.Acquire(tenant, "alpha", options);
  ASSERT_TRUE(Eventually([&] { return Trail().contains(secret); })) << "the trail";
  stack_.PublishRaw("tenants.planted.created", secret);
  std::ofstream(stack_.state_dir() + "/log/gateway.log", std::ios::app)
      << Base64(FromHex(Slurp(SecretFolder() + "role-key-alpha").substr(0, 64)).value()) << "\n";
  const auto is_in = [](const std::string& where) { return Contains(HasSubstr("is in " + where)); };
  EXPECT_TRUE(Eventually([&] {
    found_.clear();
    LookAtFiles("/nats");
    return !found_.empty();
  })) << "its stream";
  processes.Look();
  const std::vector<std::string> found = Search(processes.Stop());
  EXPECT_THAT(found, is_in("arguments or environments"));
  EXPECT_THAT(found, is_in("the audit trail"));
  EXPECT_THAT(found, Contains(HasSubstr("role-key-alpha (base64) is in /log/gateway.log")));
}

}  // namespace
}  // namespace leasehold::testing
