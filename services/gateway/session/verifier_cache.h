// SCRAM verifiers of user names seen lately: deriving one takes about a millisecond, which clients that connect for
// each query would otherwise pay each time.
#pragma once

#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/scram/scram.h"
#include "common/secret/secret.h"

namespace leasehold::gateway {

// Any thread.
class VerifierCache {
 public:
  // What RFC 7677 asks for and some drivers insist on.
  static constexpr int kIterations = 4096;
  // Of known names and of unknown ones, each; about 300 bytes an entry.
  static constexpr size_t kCapacity = 1024;

  // `salt_key`: of this process. Salts derive from it and the name, so that a name gets the same one each time, be it
  // known or not: who asks cannot tell.
  explicit VerifierCache(Secret salt_key) : salt_key_(std::move(salt_key)) {}

  // nullopt: it has to be made.
  std::optional<scram::Verifier> Find(std::string_view user_name, const Secret& password);
  // Takes about a millisecond. Until it has proven itself, a name counts among the unknown: anybody can make one up
  // that looks like a lease's.
  scram::Verifier Make(std::string_view user_name, const Secret& password);
  void Proven(std::string_view user_name);
  // Of a name that is no lease's, so that it costs what a lease's does.
  Secret NobodysPassword(std::string_view user_name) const;

 private:
  struct Entry {
    std::string user_name;
    Secret password;
    scram::Verifier verifier;
  };
  // Least recently used last. Unknown names have a list of their own, so that strangers cannot push out the known.
  struct Recent {
    std::list<Entry> entries;
    std::unordered_map<std::string_view, std::list<Entry>::iterator> by_name;
  };
  const Entry* FindIn(Recent& recent, std::string_view user_name, const Secret& password)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Keep(Recent& recent, Entry entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const Secret salt_key_;
  absl::Mutex mu_;
  Recent known_ ABSL_GUARDED_BY(mu_);
  Recent unknown_ ABSL_GUARDED_BY(mu_);
};

}  // namespace leasehold::gateway
