// What every tenant database of a provisioner should have.
#pragma once

#include <string>

namespace leasehold::provisioner {

struct Standard {
  bool operator==(const Standard&) const = default;

  int schema_version = 0;
  std::string role_key{};  // Instance::KeyFingerprint()
  // Databases in place are to have schema_version; else any version will do, once they have one.
  bool migrates_in_place = true;
};

}  // namespace leasehold::provisioner
