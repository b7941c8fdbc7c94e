// A backup's manifest, which lay where others may write. What is read is the same once it is written again.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "common/status/error.h"
#include "services/provisioner/archive/manifest.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace leasehold::provisioner;
  const auto manifest = ParseManifest({reinterpret_cast<const char*>(data), size});
  if (!manifest.ok()) {
    if (leasehold::ReasonOf(manifest.status()) != leasehold::v1::REASON_BACKUP_DAMAGED) std::abort();
    return 0;
  }
  if (ParseManifest(ToJson(*manifest)).value() != *manifest) std::abort();
  return 0;
}
