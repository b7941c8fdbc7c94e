#include "services/gateway/pool/setting_table.h"

#include <algorithm>
#include <utility>

namespace leasehold::gateway {

SettingsPtr SettingTable::Intern(SettingMap settings) {
  if (settings.empty()) return nullptr;
  std::string content;
  for (const auto& [name, value] : settings) {
    content.append(name).push_back('\0');
    content.append(value).push_back('\0');
  }
  std::weak_ptr<const SettingMap>& kept = sets_[content];
  if (SettingsPtr same = kept.lock()) return same;
  auto fresh = std::make_shared<const SettingMap>(std::move(settings));
  kept = fresh;
  if (sets_.size() >= sweep_at_) Sweep();
  return fresh;
}

SettingsPtr SettingTable::With(const SettingsPtr& base, const std::string& name, const std::string& value) {
  SettingMap changed = base ? *base : SettingMap();
  changed.insert_or_assign(name, value);
  return Intern(std::move(changed));
}

SettingsPtr SettingTable::Without(const SettingsPtr& base, const std::string& name) {
  if (!base || !base->contains(name)) return base;
  SettingMap changed = *base;
  changed.erase(name);
  return Intern(std::move(changed));
}

void SettingTable::Sweep() {
  absl::erase_if(sets_, [](const auto& entry) { return entry.second.expired(); });
  sweep_at_ = std::max<size_t>(64, 2 * sets_.size());
}

}  // namespace leasehold::gateway
