// Sets of settings (name → value), kept once each, so that two that are equal are the same pointer.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "absl/container/flat_hash_map.h"

namespace leasehold::gateway {

using SettingMap = std::map<std::string, std::string, std::less<>>;
// nullptr: none.
using SettingsPtr = std::shared_ptr<const SettingMap>;

// One loop.
class SettingTable {
 public:
  SettingsPtr Intern(SettingMap settings);
  // `base` with `name` set, or without it.
  SettingsPtr With(const SettingsPtr& base, const std::string& name, const std::string& value);
  SettingsPtr Without(const SettingsPtr& base, const std::string& name);

 private:
  void Sweep();

  absl::flat_hash_map<std::string, std::weak_ptr<const SettingMap>> sets_;  // by their content
  size_t sweep_at_ = 64;
};

}  // namespace leasehold::gateway
