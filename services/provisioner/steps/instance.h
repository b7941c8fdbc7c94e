// One PostgreSQL instance as its provisioner reaches it: who logs in where, and what errors mean to a stranger.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "common/identity/identity.h"
#include "common/postgres/postgres.h"
#include "common/secret/secret.h"
#include "leasehold/v1/config.pb.h"

namespace leasehold::provisioner {

// What the application_name of a provisioner's sessions begins with; its process's name follows, and the trace that the
// session works for (postgres::ApplicationName), which is no part of the process's.
inline constexpr std::string_view kProcessPrefix = "leasehold-provisioner/";

// Immutable; any thread.
class Instance {
 public:
  struct Options {
    ServiceName service;
    v1::InstanceConfig config;
    Secret password;  // of config.username
    RoleKey role_key;
  };
  explicit Instance(Options options);

  const ServiceName& service() const { return options_.service; }
  const std::string& central_database() const { return options_.config.database(); }
  const std::string& login() const { return options_.config.username(); }
  const std::string& host() const { return options_.config.host(); }
  // Tells this process from the service's other provisioners, also in the instance's view of its sessions: 8 hex
  // digits.
  const std::string& process() const { return process_; }

  // As the provisioner's login. What a tenant may have set on its database (ALTER DATABASE … SET) does not apply.
  postgres::ConnectOptions AsLogin(std::string_view database) const;
  // The same as ClaimerOf(login()), from the first moment on.
  postgres::ConnectOptions AsClaimer(std::string_view database) const;
  // As a role whose password is derived from `database_id`.
  postgres::ConnectOptions AsRole(std::string_view database, std::string_view role, std::string_view database_id,
                                  RoleKind kind) const;

  // What PostgreSQL stores instead of the password: "SCRAM-SHA-256$1:…", with a new salt at each call.
  std::string RoleSecret(std::string_view database_id, RoleKind kind) const;
  // Which the database's history of migrations asks of its writers.
  Secret HistorySecret(std::string_view database_id) const;
  // Tells two role keys apart without saying anything about them: 8 hex digits.
  std::string KeyFingerprint() const { return options_.role_key.Fingerprint(); }

 private:
  postgres::ConnectOptions AsLoginWith(std::string_view database, std::string_view settings) const;
  std::string DsnOf(std::string_view database, std::string_view user) const;
  const Options options_;
  const std::string process_;
};

// `status` of a statement as one that may be reported: its reason, and a sentence that begins with `doing` ("creating
// the database") and holds no SQL, host or secret. The original goes to the log. What already has a reason stays as it
// is.
absl::Status Explain(const absl::Status& status, std::string_view doing);

// The work was broken off because something newer is wanted, or because this process ends: nothing has failed.
bool IsOvertaken(const absl::Status& status);

}  // namespace leasehold::provisioner
