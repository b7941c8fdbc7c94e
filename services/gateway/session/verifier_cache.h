// SCRAM verifiers of user names seen lately: deriving one takes about a millisecond, which clients that connect for
// each query would otherwise pay each time.
#pragma once

#include <list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "common/scram/scram.h"
#include "common/secret/secret.h"

namespace leasehold::gateway {

// One loop.
class VerifierCache {
 public:
  // What RFC 7677 asks for and some drivers insist on.
  static constexpr int kIterations = 4096;
  // Of known names and of unknown ones, each; about 300 bytes an entry.
  static constexpr size_t kCapacity = 1024;

  // `salt_key`: of this process. Salts derive from it and the name, so that a name gets the same one each time, be it
  // known or not: who asks cannot tell.
  explicit VerifierCache(Secret salt_key) : salt_key_(std::move(salt_key)) {}

  // Until it has proven itself, a name counts among the unknown: anybody can make one up that looks like a lease's.
  scram::Verifier Of(std::string_view user_name, const Secret& password);
  void Proven(std::string_view user_name);
  // For a name that is no lease's: nobody knows its password, the cost is the same.
  scram::Verifier OfUnknown(std::string_view user_name);

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
  const Entry* Find(Recent& recent, std::string_view user_name, const Secret& password);
  const Entry& Keep(Recent& recent, Entry entry);
  Entry Make(std::string_view user_name, Secret password) const;

  const Secret salt_key_;
  Recent known_;
  Recent unknown_;
};

}  // namespace leasehold::gateway
